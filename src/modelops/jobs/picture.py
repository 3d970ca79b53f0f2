"""What a picture's first bytes say, without decoding it (pure)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEAD: Final = 64 * 1024
"""So many bytes are enough, but for JPEGs with much before the picture."""

_JPEG_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


@dataclass(frozen=True, slots=True)
class Picture:
    """Its media type, and its size in pixels."""

    content_type: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        """How many there will be when it is decoded."""
        return self.width * self.height


class NoPicture(ValueError):
    """What came is no PNG, JPEG or WebP."""


def picture(head: bytes) -> Picture:
    """Return what the beginning of a file says; raises NoPicture."""
    try:
        found = _png(head) or _jpeg(head) or _webp(head)
    except (struct.error, IndexError) as error:
        raise NoPicture("the picture is cut off") from error
    if found is None:
        raise NoPicture("only PNG, JPEG and WebP are taken")
    if not found.pixels:
        raise NoPicture("the picture has no pixels")
    return found


def _png(head: bytes) -> Picture | None:
    if not head.startswith(b"\x89PNG\r\n\x1a\n") or head[12:16] != b"IHDR":
        return None
    return Picture("image/png", *struct.unpack_from(">II", head, 16))


def _jpeg(head: bytes) -> Picture | None:
    if not head.startswith(b"\xff\xd8\xff"):
        return None
    for marker, at in _segments(head):
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", head, at + 3)
            return Picture("image/jpeg", width, height)
    return None


def _segments(head: bytes) -> Iterator[tuple[int, int]]:
    """Yield the segments of a JPEG: marker, and where its length stands."""
    at = 2
    while head[at] == 0xFF:
        marker = head[at + 1]
        yield marker, at + 2
        at += 2 + struct.unpack_from(">H", head, at + 2)[0]


def _webp(head: bytes) -> Picture | None:
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = struct.unpack_from("<I", head, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", head, 26))
    else:
        return None
    return Picture("image/webp", width, height)
