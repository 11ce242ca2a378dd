"""The Stable Diffusion backbones keep every promise of the plugin interface."""

from __future__ import annotations

from tiny_sd import write_projection

from diffinv.conformance import check_part


def test_it_conforms(backbone, tmp_path, monkeypatch):
    path = tmp_path / "projection.safetensors"
    write_projection(path)
    monkeypatch.setenv("DIFFINV_TEXT_PROJECTION", str(path))
    results = check_part("backbone", backbone)
    assert [f"{r.name}: {r.detail}" for r in results if not r.passed] == []
