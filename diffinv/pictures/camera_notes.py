"""What a TIFF says of the photograph (camera, time, place), not of how its pixels are stored."""

from __future__ import annotations

from PIL import Image

_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
"""Description, maker, model, program, time, artist, copyright."""

_EXIF_IFD, _GPS_IFD, _MAKER_NOTE = 0x8769, 0x8825, 0x927C


def camera_notes(found: Image.Exif) -> Image.Exif:
    """The part of a TIFF's first directory, and of those for EXIF and GPS, that belongs to the
    photograph. The maker's own note is left out: it may hold places in the file."""
    kept = Image.Exif()
    for tag in _TAGS:
        if tag in found:
            kept[tag] = found[tag]
    for ifd in (_EXIF_IFD, _GPS_IFD):
        notes = dict(found.get_ifd(ifd))
        notes.pop(_MAKER_NOTE, None)
        if notes:
            kept[ifd] = notes
    return kept
