"""The model that a planned request asks for."""

from __future__ import annotations

from ..api import Model
from ..running.models import Models, choose_device, deterministic
from ..running.progress import LOADING, Meter
from .planning import ApplicationPlan, InversionPlan
from .requests import ApplyRequest, InvertRequest


def model_of(
    request: InvertRequest | ApplyRequest,
    plan: InversionPlan | ApplicationPlan,
    models: Models,
    meter: Meter,
) -> Model:
    """A request's model, loaded. The plan's notes are given first, unless the backbone is already
    loaded and they would come too late."""
    meter.phase(LOADING)
    device = choose_device(request.device)
    models.use_memory(request.memory)
    if not models.has(plan.backbone, device):
        for note in plan.notes:
            meter.note(note)
    encoder = plan.delta_encoder if isinstance(plan, InversionPlan) else None
    with deterministic(request.settings.seed, device):
        return Model(plan.backbone, encoder, plan.captioner, device, models)
