"""What is added to a backbone's checkpoint, on its way through options, requests and files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diffinv.conformance import check_spec as check_promises
from diffinv.contracts import Addition, BackboneSpec, Use
from diffinv.difference import Added, Difference, DifferenceInfo, read_info, save
from diffinv.errors import DiffinvError, UsageError
from diffinv.jobs.request_json import absolute, from_json, kind_of, to_json
from diffinv.jobs.requests import ApplyRequest, InvertRequest
from diffinv.plugins import probing
from diffinv.plugins.checking import BrokenPluginError, check_spec
from diffinv.plugins.registry import Registry
from diffinv.running.additions import (
    additions_again,
    check_additions,
    check_alike,
    named_additions,
    written_down,
)
from diffinv.running.parts import Part, part_id
from diffinv.running.remembered_weights import remember_additions
from diffinv.storage.store import Library
from diffinv.system.weights import weights_id

SPEC = BackboneSpec(id="one", title="One", factory="a:b", additions=("vae", "lora"))


@pytest.fixture
def style(tmp_path) -> Path:
    path = tmp_path / "style.safetensors"
    path.write_bytes(b"a style")
    return path


@pytest.mark.parametrize(
    ("text", "path", "weight"),
    [
        ("a.safetensors", "a.safetensors", 1.0),
        ("a.safetensors:0.8", "a.safetensors", 0.8),
        ("a.safetensors:-1", "a.safetensors", -1.0),
        ("C:\\loras\\a.safetensors", "C:\\loras\\a.safetensors", 1.0),
        ("C:\\a.safetensors:.5", "C:\\a.safetensors", 0.5),
        ("a:b", "a:b", 1.0),
        (":0.5", ":0.5", 1.0),
        ("a:nan", "a:nan", 1.0),
    ],
)
def test_a_lora_is_a_path_with_a_weight(text, path, weight):
    assert named_additions(None, (), [text]) == (Addition("lora", path, weight),)


def test_parts_come_before_loras():
    found = named_additions(Path("v"), ["one", "two"], ["l"])
    assert [(a.kind, a.path) for a in found] == [
        ("vae", "v"),
        ("text_encoder", "one"),
        ("text_encoder", "two"),
        ("lora", "l"),
    ]


def test_a_backbone_takes_what_its_spec_says(style):
    check_additions(SPEC, [Addition("lora", str(style))])
    with pytest.raises(UsageError, match="'one' takes no --text-encoder; leave it out"):
        check_additions(SPEC, [Addition("text_encoder", str(style))])
    with pytest.raises(UsageError, match="--vae 'gone' is neither a file nor a folder"):
        check_additions(SPEC, [Addition("vae", "gone")])


@pytest.mark.parametrize("additions", [("hat",), "vae", 5, (1,)])
def test_a_spec_names_kinds_that_there_are(additions):
    with pytest.raises(BrokenPluginError, match="the additions of 'one' must be of the kinds vae"):
        check_spec(replace(SPEC, additions=additions), BackboneSpec)


def _load(*arguments: object) -> object:
    return type("Made", (), {"schedule": arguments})


def test_a_factory_gets_them_only_if_there_are_some(style):
    spec = replace(SPEC, factory=f"{__name__}:_load")
    added = Addition("lora", str(style), 0.5)
    assert Registry().create(spec, "w", "cpu").schedule == ("w", "cpu")
    assert Registry().create(spec, "w", "cpu", [added]).schedule == ("w", "cpu", (added,))


def _takes_none(weights: object, device: object) -> object:
    return weights, device


def test_plugins_check_sees_whether_a_factory_takes_them():
    (right,) = check_promises(replace(SPEC, factory=f"{__name__}:_load"))
    assert (right.passed, right.detail) == (True, "vae, lora")
    (wrong,) = check_promises(replace(SPEC, factory=f"{__name__}:_takes_none"))
    assert not wrong.passed
    assert "cannot be called as factory(weights, device, ())" in wrong.detail


def _told(use: Use) -> list[str]:
    return [f"{added.kind} {added.weight}" for added in use.additions]


def test_a_preflight_elsewhere_hears_of_them(style):
    use = Use(None, "cpu", additions=(Addition("lora", str(style), 0.5),))
    assert probing.preflight("one", f"{__name__}:_told", use) == ("lora 0.5",)


def test_requests_keep_them(style, monkeypatch):
    monkeypatch.chdir(style.parent)
    added = (Addition("lora", style.name, 0.5), Addition("vae", "gone"))
    pair = ((style, style),)
    for request in (
        InvertRequest(pair, additions=added),
        ApplyRequest((("x", 1.0),), (style,), style.parent, additions=added),
    ):
        kept = from_json(kind_of(request), to_json(absolute(request)))
        assert kept.additions == (Addition("lora", str(style), 0.5), Addition("vae", "gone"))


def test_a_part_is_another_with_them(style):
    part = Part(SPEC, "w", (Addition("lora", str(style), 0.5),))
    others = [replace(part, additions=()), replace(part, additions=(Addition("lora", "x", 0.5),))]
    assert len({part_id(one) for one in (part, *others)}) == 3
    assert part_id(others[0]) == "one=w"


def test_a_models_hash_follows_what_is_added_and_not_where_it_is(style, tmp_path):
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"weights")
    (tmp_path / "moved").write_bytes(style.read_bytes())
    plain = weights_id([model])
    found = [
        weights_id([model], [Addition(kind, str(path), weight)])
        for kind, path, weight in (
            ("lora", style, 1.0),
            ("lora", tmp_path / "moved", 1.0),
            ("lora", style, 0.5),
            ("vae", style, 1.0),
            ("lora", model, 1.0),
        )
    ]
    assert found[0] == found[1]
    assert len({plain, *found}) == 5


def test_they_are_found_again_where_they_were(style):
    given = (Addition("lora", str(style), 0.5),)
    written = written_down(given)
    with pytest.raises(UsageError, match="is not known here; say where it is with --lora PATH:"):
        additions_again("It", written, ())
    assert additions_again("It", written, given) == given
    remember_additions(written, given)
    assert additions_again("It", written, ()) == given
    style.write_bytes(b"another style")
    with pytest.raises(UsageError, match="is not any more; say where it is"):
        additions_again("It", written, ())
    with pytest.raises(UsageError, match="is not any more; say where it is"):
        additions_again("It", written, given)


def difference(name, *added):
    info = DifferenceInfo(
        name=name,
        backbone="one",
        backbone_weights="abc",
        token_space="additive",
        additions=tuple(added),
    )
    return Difference(
        info, np.ones((1, 4), np.float32), np.ones(2, np.float32), np.ones((1, 3), np.float32)
    )


def test_a_difference_remembers_them(tmp_path):
    added = Added("lora", "style.safetensors", "ab" * 32, 0.5)
    path = tmp_path / "styled.safetensors"
    save(difference("styled", added), path)
    assert read_info(path).additions == (added,)
    library = Library(tmp_path / "library")
    library.add(difference("styled", added))
    for _ in range(2):  # the second time from the index
        (entry,) = Library(tmp_path / "library").search()
        assert entry.info.additions == (added,)
    check_alike([difference("styled", added)], [added._replace(name="renamed.safetensors")])
    with pytest.raises(UsageError, match="with the LoRA 'style.safetensors' .* with nothing added"):
        check_alike([difference("styled", added)], [])


@pytest.mark.parametrize(
    "row", ["lora", ["lora", "x"], ["hat", "x", "y", 1.0], ["lora", "x", 1, 1]]
)
def test_a_damaged_entry_is_named(tmp_path, monkeypatch, row):
    monkeypatch.setattr("diffinv.difference._parse_info", lambda _header, *_: None)
    path = tmp_path / "styled.safetensors"
    one = difference("styled")
    one = replace(one, info=replace(one.info, additions=(row,)))
    save(one, path)
    monkeypatch.undo()
    with pytest.raises(DiffinvError, match="its header entry 'diffinv.additions' cannot be read"):
        read_info(path)
