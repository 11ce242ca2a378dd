"""What the methods of a comparison share: the parts of one loaded model, and its counters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from ..api import Model, load
from ..contracts import BackboneSpec
from ..contracts.captioner import Conversant
from ..plugins.loading import registry
from ..running.parts import backbone_part

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..contracts import Backbone, Conditioning, DeltaEncoder, Editor, Network


class ModelBench:
    """See :class:`diffinv.contracts.Bench`. The model is loaded when something first asks for it.

    ``evaluations`` counts the rows that denoisers have computed: the backbone's, and those of
    networks that methods ask to :meth:`count`.
    """

    def __init__(
        self, backbone: str | None = None, device: str | None = None, **parts: Any
    ) -> None:
        self._backbone, self._device, self._parts = backbone, device, parts
        self.evaluations = 0

    @cached_property
    def model(self) -> Model:
        """The model of difference inversion, its denoiser counted."""
        model = load(self._backbone, device=self._device, **self._parts)
        predict = model.backbone.predict

        def counted(noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
            self.evaluations += len(noisy)
            return predict(noisy, timesteps, conditioning)

        model.backbone.predict = counted  # type: ignore[method-assign]
        return model

    @property
    def device(self) -> str:
        """The torch device of every part."""
        return self.model.device

    @property
    def backbone(self) -> Backbone:
        """The text-to-image model."""
        return self.model.backbone

    @property
    def delta_encoder(self) -> DeltaEncoder:
        """The joint space."""
        return self.model.delta_encoder

    def editor(self, id: str) -> Editor:
        """A way to find B's noise."""
        made = registry().create(registry().get("editor", id))
        return cast("Editor", made)

    def caption(self, image: Image) -> str:
        """The captioner's words for a picture."""
        return self.model.caption(image)

    def ask(self, content: Sequence[str | Image]) -> str | None:
        """The captioner's answer, if it can be asked."""
        captioner = self.model.captioner
        return captioner.ask(content) if isinstance(captioner, Conversant) else None

    def companion(self, kind: str) -> Network | None:
        """The backbone's relative of a kind, if it names one."""
        spec = cast(BackboneSpec, backbone_part(registry(), self._backbone).spec)
        return registry().create_companion(spec, kind, self.device)

    def count(self, network: Network) -> None:
        """Count what a network's denoiser computes."""

        def hook(_unet: object, inputs: tuple[Any, ...], _output: object) -> None:
            self.evaluations += len(inputs[0])

        network.unet.register_forward_hook(hook)
