"""Fixtures: tiny checkpoints of the real classes, made on the spot."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path

import pytest
from command_line import diffinv, end_workers, learned, pictures, process  # noqa: F401 - fixtures
from hypothesis import settings

from diffinv.plugins import probing

# Tests run side by side: a thread each, for them and for the processes they start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Examples are the same in every run, and slow machines are no failures.
settings.register_profile("diffinv", deadline=None, derandomize=True, max_examples=60)
settings.register_profile("hours", deadline=None, max_examples=20_000, print_blob=True)
settings.load_profile("diffinv")

QUICK = (
    *("captioners/test_endpoint.py", "jobs/test_devices.py", "jobs/test_job_store.py"),
    *("jobs/test_limits.py", "jobs/test_results_folder.py", "library/", "method/"),
    *(
        "test_additions.py",
        "test_conformance.py",
        "test_difference.py",
        "test_images.py",
        "test_library.py",
    ),
    *("test_paths.py", "test_plugin_answers.py", "test_plugins.py", "test_structure.py"),
    *("test_text.py", "test_wrong_answers.py"),
    *("tui/test_curve.py", "tui/test_filters.py", "tui/test_job_texts.py", "tui/test_keys.py"),
)
"""What ``pytest -m quick`` runs: no trained model, hardly a process; under a minute in all."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the quick files."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).as_posix().startswith(QUICK):
            item.add_marker(pytest.mark.quick)


_DETACH = 2
"""MNT_DETACH of umount2(2): what is still open there does not keep it."""


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Every test has an empty home of its own, no network to fall back on, and patience with
    plugins: a machine at work takes longer than a user may wait."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("DIFFINV_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(probing, "PATIENCE", probing.LIMIT)
    yield
    end_workers(home)


@pytest.fixture
def full_disk(tmp_path_factory: pytest.TempPathFactory):
    """A folder on a disk of its own, with a function that fills it.

    Skipped only where the system has no such disk or lets us mount none; any other failure to is a
    failure.
    """
    if sys.platform != "linux":
        pytest.skip("only Linux has a tmpfs that mount(2) takes so")
    folder = tmp_path_factory.mktemp("disk")
    system = ctypes.CDLL(None, use_errno=True)
    if system.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, b"size=200k"):
        refused = ctypes.get_errno()
        assert refused in (errno.EPERM, errno.EACCES), os.strerror(refused)
        pytest.skip(f"mounting a disk is refused to us: {os.strerror(refused)}")

    def fill() -> None:
        with (folder / "filling").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass

    yield folder, fill
    assert system.umount2(bytes(folder), _DETACH) == 0, os.strerror(ctypes.get_errno())


def _make_pipeline(folder: Path, prediction_type: str) -> Path:
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

    from diffinv_diorama.weights import pipeline_folder

    torch.manual_seed(0)
    shutil.copytree(pipeline_folder() / "tokenizer", folder / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    CLIPTextModelWithProjection(text).save_pretrained(folder / "text_encoder")
    UNet2DConditionModel(
        sample_size=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=(1, 2),
        use_linear_projection=True,
    ).save_pretrained(folder / "unet")
    AutoencoderKL(
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        sample_size=16,
        scaling_factor=1.0,
    ).save_pretrained(folder / "vae")
    DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        prediction_type=prediction_type,
        timestep_spacing="trailing",
    ).save_pretrained(folder / "scheduler")
    return folder


@pytest.fixture(scope="session", params=["epsilon", "v_prediction"])
def tiny_backbone(request, tmp_path_factory):
    """A random backbone of the real classes, once for each prediction type."""
    from diffinv_diorama.backbone import load

    folder = tmp_path_factory.mktemp("pipeline") / request.param
    return load(str(_make_pipeline(folder, request.param)), "cpu")


class FixedEncoder:
    """A delta encoder whose vectors depend on the mean colour and on the words."""

    id = "fixed"
    space = "diorama-clip"

    def encode_images(self, images):
        import numpy as np
        import torch

        rows = [np.asarray(image, dtype=np.float32).mean((0, 1)) / 255 for image in images]
        padded = np.zeros((len(rows), 128), dtype=np.float32)
        padded[:, :3] = rows
        padded[:, 3] = 1
        return torch.from_numpy(padded)

    def encode_texts(self, texts):
        import torch

        rows = torch.zeros(len(texts), 128)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[sum(map(ord, word)) % 128] += 1
            row[3] += 1
        return rows


@pytest.fixture
def fixed_encoder():
    """See FixedEncoder."""
    return FixedEncoder()
