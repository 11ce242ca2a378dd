"""Colours as the models need them: RGB in sRGB, 8 bits per channel, no transparency."""

from __future__ import annotations

import contextlib
import io

from PIL import Image, ImageCms


def to_rgb(image: Image.Image) -> Image.Image:
    """Any decoded picture as RGB in sRGB, with transparency put on white."""
    profile = image.info.get("icc_profile")
    colours, alpha = _split_alpha(_eight_bit(image))
    rgb = _to_srgb(colours, profile)
    if alpha is None:
        return rgb
    canvas = Image.new("RGB", rgb.size, "white")
    canvas.paste(rgb, mask=alpha)
    return canvas


def own_colours(
    image: Image.Image,
) -> tuple[Image.Image | None, Image.Image | None, bytes | None]:
    """The file's own colours as RGB, None if they are those that :func:`to_rgb` gives; its
    transparency; and the profile that belongs to the colours."""
    profile = image.info.get("icc_profile")
    colours, alpha = _split_alpha(_eight_bit(image))
    if colours.mode != "RGB" or not _is_other(profile):
        # grey, CMYK or sRGB: the sRGB colours will do
        return (None if alpha is None else _to_srgb(colours, profile)), alpha, None
    return colours, alpha, profile


def _is_other(profile: bytes | None) -> bool:
    """Whether a profile can be read and is not sRGB."""
    if not profile:
        return False
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return "sRGB" not in ImageCms.getProfileDescription(source)
    except Exception:  # a broken profile says nothing
        return False


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey pictures of 16 bits, 32 bits or floats as 8 bits, scaled rather than clipped."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    import numpy as np

    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((values // 257).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = _value_range(float(values.min()), float(values.max()), image.mode == "F")
    scaled = (values - low) * (255 / (high - low))
    return Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))


def _value_range(low: float, high: float, floating: bool) -> tuple[float, float]:
    """Black and white of a picture that does not give them: the smallest usual range that fits."""
    for white in (1.0, 255.0, 65535.0) if floating else (65535.0,):
        if low >= 0 and high <= white:
            return 0.0, white
    return low, max(high, low + 1)


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours (L, RGB, CMYK or another mode without alpha), and the alpha channel, if any."""
    if image.mode == "LA":
        return image.convert("L"), image.getchannel("A")
    if image.mode in ("RGBA", "PA", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return rgba.convert("RGB"), rgba.getchannel("A")
    if image.mode == "P":
        return image.convert("RGB"), None
    return image, None


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and image.mode in ("L", "RGB", "CMYK"):
        with contextlib.suppress(Exception):  # a broken profile is no reason to refuse a picture
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                converted = ImageCms.profileToProfile(
                    image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
                )
                if converted is not None:
                    return converted
    return image.convert("RGB")
