"""A backbone, a captioner and a delta encoder whose weights are at the hub."""

from diffinv.contracts import BackboneSpec, CaptionerSpec, DeltaEncoderSpec
from diffinv.errors import UsageError
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones():
    return [
        BackboneSpec(
            id="remote",
            title="Remote",
            purpose="Draws what is far away.",
            licence="MIT",
            factory="remote:backbone",
            size_mb=0.2,
            defaults={"model": "some/model"},
            captioner="remote",
            delta_encoder="remote",
            preflight="remote:preflight",
        )
    ]


@hookimpl
def register_captioners():
    defaults = {"model": "some/words"}
    return [
        CaptionerSpec("remote", "Far words", "remote:captioner", size_mb=0.2, defaults=defaults)
    ]


@hookimpl
def register_delta_encoders():
    defaults = {"model": "some/space"}
    return [
        DeltaEncoderSpec("remote", "Far space", "remote:encoder", size_mb=0.2, defaults=defaults)
    ]


def preflight(use):
    if use.weights and not use.weights.endswith(".safetensors"):
        raise UsageError(f"{use.weights!r} has no weights in it.")
    return []


def _found(part, model, weights):
    """The part, if its weights are here and whole."""
    from diffinv.system.local_models import find_model

    folder = find_model(weights or model)
    assert weights or (folder / "model.safetensors").stat().st_size == 200_000
    return part


def backbone(weights, device):
    from toy_model import Toy

    made = _found(Toy(None, device), "some/model", weights)
    made.id = "remote"
    return made


def captioner(weights, device):
    from toy_model import ToyCaptioner

    return _found(ToyCaptioner(None, device), "some/words", weights)


def encoder(weights, device):
    from toy_model import ToyEncoder

    return _found(ToyEncoder(None, device), "some/space", weights)
