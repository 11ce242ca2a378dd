"""Writes a result in the format of its B, or another, with what B's file says, and of itself."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, unescape

from ..errors import UsageError
from .sixteen_bit import png_of_sixteen, tiff_of_sixteen

if TYPE_CHECKING:
    from PIL import Image

    from .photograph import Photograph

SAME = "same"

Notes = Mapping[str, str]
"""What a result says of itself: ``diffinv`` (JSON), and ``parameters`` for other programs."""

_SUFFIXES = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "avif": ".avif", "tiff": ".tif"}
FORMATS = (SAME, *_SUFFIXES)
_BY_SUFFIX = {
    **{suffix: name for name, suffix in _SUFFIXES.items()},
    ".jpeg": "jpeg",
    ".tiff": "tiff",
}

_USER_COMMENT, _EXIF_IFD, _TIFF_XMP = 0x9286, 0x8769, 700
_OPEN, _CLOSE = "<diffinv:provenance>", "</diffinv:provenance>"
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
)


def format_of(suffix: str, wanted: str) -> str:
    """The format for a picture with this suffix; PNG if its own cannot be written."""
    if wanted not in FORMATS:
        raise UsageError(f"There is no format {wanted!r}; choose from {', '.join(FORMATS)}.")
    return _BY_SUFFIX.get(suffix.lower(), "png") if wanted == SAME else wanted


def suffix_for(suffix: str, wanted: str) -> str:
    """The suffix of a result; B's own if it names the format."""
    format = format_of(suffix, wanted)
    return suffix if _BY_SUFFIX.get(suffix.lower()) == format else _SUFFIXES[format]


def encoded(
    photograph: Photograph,
    format: str,
    quality: int,
    strip: bool,
    notes: Notes,
) -> bytes:
    """A result as the contents of a file. JPEG from JPEG is compressed as B was; PNG and TIFF have
    the 16 bits that it has."""
    from PIL import Image

    image = photograph.own_with_alpha
    if format == "jpeg" and image.mode == "RGBA":
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(image, mask=image.getchannel("A"))
        image = canvas
    try:
        return _written(image, photograph, format, quality, strip, notes)
    except Exception:  # what cameras write cannot always be written again, or is too long for JPEG
        if strip:
            raise
        return _written(image, photograph, format, quality, True, notes)


def _written(
    image: Image.Image,
    photograph: Photograph,
    format: str,
    quality: int,
    strip: bool,
    notes: Notes,
) -> bytes:
    about = _about(photograph, format, strip, notes)
    if photograph.deep is not None and format == "png":
        said = _saved(image.resize((1, 1)), format, about)
        return png_of_sixteen(photograph.deep, photograph.alpha, said)
    if photograph.deep is not None and format == "tiff":
        profile, tags = photograph.profile, about["tiffinfo"]
        return tiff_of_sixteen(photograph.deep, photograph.alpha, profile, tags)
    return _saved(image, format, _compression(photograph, format, quality) | about)


def _saved(image: Image.Image, format: str, options: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format.upper(), **options)
    return stream.getvalue()


def _compression(photograph: Photograph, format: str, quality: int) -> dict[str, Any]:
    if format == "jpeg":
        return photograph.jpeg or {"quality": quality, "subsampling": 0}
    if format == "tiff" and not photograph.exif:
        return {"compression": "tiff_deflate"}  # with which Pillow cannot write EXIF
    if format == "webp" and (quality == 100 or photograph.lossless):
        return {"lossless": True}
    return {"quality": quality} if format in ("webp", "avif") else {}


def _about(photograph: Photograph, format: str, strip: bool, notes: Notes) -> dict[str, Any]:
    from PIL import Image

    options: dict[str, Any] = {}
    if photograph.profile:
        options["icc_profile"] = photograph.profile
    exif = Image.Exif()
    if photograph.exif and not strip:
        exif.load(photograph.exif)
    if format == "png":
        return options | _png(photograph, exif, strip, notes)
    if notes and format != "tiff":
        comment = b"UNICODE\0" + notes["parameters"].encode("utf-16-be")
        exif[_EXIF_IFD] = {**exif.get_ifd(_EXIF_IFD), _USER_COMMENT: comment}
    xmp = _with_notes(None if strip else photograph.xmp, notes)
    if format == "tiff":
        if xmp:
            exif[_TIFF_XMP] = xmp
        return options | {"tiffinfo": exif}
    return options | ({"exif": exif.tobytes()} if len(exif) else {}) | ({"xmp": xmp} if xmp else {})


def _png(photograph: Photograph, exif: Image.Exif, strip: bool, notes: Notes) -> dict[str, Any]:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, text in notes.items():
        info.add_itxt(name, text)
    if photograph.xmp and not strip:
        info.add_itxt("XML:com.adobe.xmp", photograph.xmp.decode(errors="replace"))
    return {"pnginfo": info} | ({"exif": exif.tobytes()} if len(exif) else {})


def _with_notes(xmp: bytes | None, notes: Notes) -> bytes | None:
    """XMP with our own description in it."""
    if not notes:
        return xmp
    text = (xmp or b"").decode(errors="replace")
    if "</rdf:RDF>" not in text:
        text = _XMP
    ours = (
        '<rdf:Description rdf:about="" xmlns:diffinv="https://diffinv.invalid/ns/1.0/">'
        f"{_OPEN}{escape(notes['diffinv'])}{_CLOSE}</rdf:Description>"
    )
    return text.replace("</rdf:RDF>", f"{ours}</rdf:RDF>", 1).encode()


def provenance_in(image: Image.Image) -> dict[str, Any] | None:
    """What a result says of how it was made; None if it says nothing."""
    text = image.info.get("diffinv")
    if not isinstance(text, str):
        xmp = image.info.get("xmp") or getattr(image, "tag_v2", {}).get(_TIFF_XMP) or b""
        plain = xmp.decode(errors="replace") if isinstance(xmp, bytes) else str(xmp)
        text = unescape(plain.partition(_OPEN)[2].partition(_CLOSE)[0])
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
