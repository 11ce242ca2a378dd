"""Whether a LoRA fits a checkpoint, by its file's header. Light: no torch."""

from __future__ import annotations

import importlib.util
import re

from diffinv.contracts import Addition
from diffinv.errors import UsageError
from diffinv.system.paths import given_path
from diffinv.system.tensor_files import Shapes, read_shapes
from diffinv.system.text import text_safe

from .families import FAMILIES, Family
from .kinds import LORA, kind_of_file
from .suffixes import check_suffix

DOWN = re.compile(r".*(lora_down|lora_A|lora\.down|_lora\.down|lora_linear_layer\.down)\.weight")
"""The first matrix of each changed layer."""

_CONTEXT = re.compile(r".*attn2[._](processor[._])?to_[kv].*")
_OTHERS = {
    "LyCORIS (LoHa, LoKr, OFT or the like)": r".*\.(hada_w|lokr_|oft_|boft_|on_input|glora_).*",
    "DoRA": r".*(dora_scale|lora_magnitude_vector).*",
}
"""Changes of other kinds, of which diffusers' loader leaves some or all out."""

_XL = re.compile(r"lora_te[12]_.*|text_encoder_2\..*|lora_unet_(input|output)_blocks_.*")
_FLOW = re.compile(
    r"(transformer|lora_transformer|diffusion_model\.(double|single|joint)_blocks|lora_te3)[._].*"
    r"|.*(double|single|joint)_blocks.*"
)


def check_lora(added: Addition, family: Family, width: object) -> None:
    """Refuse what is no LoRA, or one of another family. ``width`` is that of the vectors which the
    checkpoint's denoiser reads."""
    path, name = given_path(added.path), text_safe(added.path)
    if path.is_dir():
        raise UsageError(f"--lora {name!r} is a folder; name the .safetensors file in it.")
    check_suffix(path, name)
    shapes = read_shapes(path, name)
    for what, keys in _OTHERS.items():
        if any(re.fullmatch(keys, key) for key in shapes):
            raise UsageError(
                f"--lora {name!r} is a {what}, not a plain LoRA, and is not taken; merge it into "
                "its model in another program."
            )
    if kind_of_file(shapes) is not LORA or not any(DOWN.fullmatch(key) for key in shapes):
        raise UsageError(f"--lora {name!r} is not a LoRA: {_what(shapes)}.")
    _check_family(name, shapes, family, width)
    if importlib.util.find_spec("peft") is None:
        raise UsageError("--lora needs peft, which is not installed; 'pip install peft' does it.")


def _what(shapes: Shapes) -> str:
    kind = kind_of_file(shapes)
    if kind in (None, LORA):
        return "its tensors have other names"
    assert kind is not None
    return f"it is {kind.what} ({kind.instead})"


def _check_family(name: str, shapes: Shapes, family: Family, width: object) -> None:
    if any(_FLOW.fullmatch(key) for key in shapes):
        raise _wrong_family(name, family, "a transformer of another family (Flux or the like)")
    matrices = {key: shape for key, shape in shapes.items() if len(shape) > 1}
    widths = {s[1] for k, s in matrices.items() if DOWN.fullmatch(k) and _CONTEXT.fullmatch(k)}
    for found in widths - {width}:
        titles = [one.title for one in FAMILIES.values() if one.width == found]
        made = f"{' and '.join(titles)} " if titles else ""
        raise _wrong_family(name, family, f"{made}with vectors {found} wide, not {width}")
    if family.towers == 1 and any(_XL.fullmatch(key) for key in shapes):
        raise _wrong_family(name, family, FAMILIES["sdxl"].title)


def _wrong_family(name: str, family: Family, made: str) -> UsageError:
    return UsageError(
        f"--lora {name!r} was made for {made}, and does not fit {family.id!r}; give one for "
        f"{family.title}."
    )
