"""Pictures as files: those of strangers are read with care, ours say how they were made."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from diffusion.fault import invalid

READ: Final = ("PNG", "JPEG", "WEBP")
MOST_PIXELS: Final = 64_000_000
"""A larger picture is refused by what its header says, before it is unpacked."""

_DAMAGES: Final = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
)
_DESCRIPTION: Final = 0x010E
_SOFTWARE: Final = 0x0131
_SAVED: Final[Mapping[str, Mapping[str, Any]]] = {
    "png": {"format": "PNG", "compress_level": 3},
    "jpeg": {"format": "JPEG", "quality": 92},
    "webp": {"format": "WEBP", "quality": 92},
}


def read(path: str) -> Image.Image:
    """Return a picture upright, as it is. Raises Fault (invalid_input)."""
    try:
        with Image.open(path, formats=READ) as image:
            if image.width * image.height > MOST_PIXELS:
                raise invalid(f"a picture has more than {MOST_PIXELS} pixels: send a smaller one")
            return ImageOps.exif_transpose(image).copy()
    except _DAMAGES as error:
        raise invalid(f"a picture is none of {', '.join(READ)}, or is damaged: {error}") from error


def colours(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return a picture in RGB, cut and scaled so that it fills a size."""
    return ImageOps.fit(image.convert("RGB"), (width, height), Image.Resampling.LANCZOS)


def mask(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return a mask, white where it is painted: what is transparent, or else what is white."""
    if "A" in image.getbands():
        image = ImageOps.invert(image.getchannel("A"))
    return ImageOps.fit(image.convert("L"), (width, height), Image.Resampling.NEAREST)


def write(image: Image.Image, path: Path, kind: str, made: Mapping[str, Any]) -> None:
    """Write a picture with what it was made by in its metadata."""
    told = json.dumps(made, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    image.save(path, **_SAVED[kind], **(_png(told) if kind == "png" else _exif(told)))


def _png(told: str) -> dict[str, Any]:
    info = PngInfo()
    info.add_text("Software", "modelops")
    info.add_itxt("modelops", told)
    return {"pnginfo": info}


def _exif(told: str) -> dict[str, Any]:
    exif = Image.Exif()
    exif[_SOFTWARE] = "modelops"
    exif[_DESCRIPTION] = told
    return {"exif": exif}
