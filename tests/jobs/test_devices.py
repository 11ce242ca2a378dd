"""Devices are checked by name, and against NVIDIA's driver, without torch."""

from __future__ import annotations

import sys
import types
from dataclasses import replace

import pytest

from diffinv.errors import UsageError
from diffinv.jobs.planning import plan_application, plan_inversion
from diffinv.jobs.tasks import run_inversion
from diffinv.running import devices
from diffinv.running.devices import check_device, device_warnings
from diffinv.running.models import choose_device


@pytest.fixture
def driver(monkeypatch):
    """NVIDIA's driver, with one GPU."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nothing = types.SimpleNamespace(nvmlInit=lambda: None, nvmlShutdown=lambda: None)
    nothing.nvmlDeviceGetCount = lambda: 1
    monkeypatch.setitem(sys.modules, "pynvml", nothing)
    yield nothing
    devices._best.cache_clear()  # which holds what this driver said


@pytest.mark.parametrize("device", [None, "cpu", " CPU ", "cuda", "cuda:3", "mps", "xpu:0"])
def test_names_of_devices(device):
    check_device(device)


@pytest.mark.parametrize("device", ["gpu", "", " ", "cuda:", "cuda:x", "cuda:-1", "0", "meta"])
def test_what_is_no_name_of_a_device(device):
    with pytest.raises(UsageError, match="is not a device: name cpu, cuda"):
        check_device(device)


def test_devices_are_chosen_in_any_case():
    assert choose_device(" CPU ") == "cpu"


def test_a_gpu_that_the_driver_does_not_know_is_warned_of(driver, monkeypatch):
    assert device_warnings("cuda") == device_warnings("cuda:0") == device_warnings("cpu") == ()
    assert "only 1 GPU here, so 'cuda:1' may not work" in device_warnings("cuda:1")[0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert "no GPU here" in device_warnings("cuda")[0]


def test_a_driver_that_does_not_answer_says_nothing_of_gpus(driver):
    def fail():
        raise OSError("busy")

    driver.nvmlInit = fail
    assert device_warnings("cuda:7") == ()
    driver.nvmlInit = lambda: (_ for _ in ()).throw(
        type("NVMLError_LibraryNotFound", (OSError,), {})
    )
    assert "no GPU here" in device_warnings("cuda:7")[0]


def test_plans_have_the_warning_and_runs_leave_it_to_torch(toy, learn, applied, driver):
    heard = []
    request = replace(learn(), device="cuda:1")
    assert plan_inversion(request).warnings == device_warnings("cuda:1")
    with pytest.raises(UsageError, match="There is no device 'cuda:1' here"):
        run_inversion(request, heard.append)
    assert not any(event.warning for event in heard)
    run_inversion(learn())
    plan = plan_application(replace(applied(), device="cuda:1"))
    assert plan.warnings == device_warnings("cuda:1")
