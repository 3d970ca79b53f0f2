"""Reads no more of an answer than one may be."""

from collections.abc import AsyncIterable


async def bounded(chunks: AsyncIterable[bytes], most: int) -> bytes:
    """Return all the bytes; raises ValueError when there are more than `most`."""
    read = bytearray()
    async for chunk in chunks:
        read += chunk
        if len(read) > most:
            raise ValueError(f"an answer of more than {most} bytes")
    return bytes(read)
