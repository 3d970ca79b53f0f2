"""The safetensors format: what can be told of a file from its first bytes."""

import json
from typing import Any, Final

PREFIX_BYTES: Final = 8
_SHORTEST_HEADER: Final = len("{}")
_LONGEST_HEADER: Final = 100_000_000


def header_length(prefix: bytes, size: int) -> int:
    """Return the length in bytes of the header that follows the first 8 bytes of a file.

    Raises ValueError when a file of that size cannot have such a header.
    """
    length = int.from_bytes(prefix, "little")
    if len(prefix) < PREFIX_BYTES or not (
        _SHORTEST_HEADER <= length <= min(size - PREFIX_BYTES, _LONGEST_HEADER)
    ):
        raise ValueError("it does not begin with a safetensors header")
    return length


def check_header(header: bytes, size: int) -> None:
    """Check that the tensors of a header fill a file of ``size`` bytes exactly.

    Raises ValueError.
    """
    try:
        tensors = json.loads(header)
        ends = [_end(entry) for name, entry in tensors.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("its safetensors header cannot be read") from error
    expected = PREFIX_BYTES + len(header) + max(ends, default=0)
    if expected != size:
        raise ValueError(f"its header speaks of {expected} bytes, but it has {size}")


def _end(entry: dict[str, Any]) -> int:
    begin, end = entry["data_offsets"]
    if not 0 <= begin <= end:
        raise ValueError("offsets")
    return int(end)
