"""A fake engine: it speaks the contract and makes tiny files; what it does a job's prompt says."""

import asyncio
import json
import struct
import sys
import zlib
from pathlib import Path

from aiohttp import web

PNG = b"\x89PNG\r\n\x1a\n"


def png(width: int = 1, height: int = 1) -> bytes:
    """Return a black picture of that size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows = zlib.compress(b"".join(b"\0" + bytes(3 * width) for _ in range(height)))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class FakeEngine:
    """Notes each run in a file beside its folder, as `id attempt resume`."""

    def __init__(self, log: Path) -> None:
        """Take where runs are noted."""
        self.log = log

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Do what the prompt says."""
        asked = await request.json()
        with self.log.open("a") as log:
            log.write(f"{asked['id']} {asked['attempt']} {asked['resume']}\n")
        answer = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
        await answer.prepare(request)
        if asked["input"].get("prompt") == "poison":
            assert request.transport
            request.transport.close()
        else:
            await self.tell(asked, answer)
        return answer

    async def tell(self, asked: dict[str, object], answer: web.StreamResponse) -> None:
        """Tell of progress, and make files."""
        said, folder = asked["input"], Path(str(asked["output"]))
        assert isinstance(said, dict)

        async def say(**event: object) -> None:
            await answer.write(json.dumps(event).encode() + b"\n")

        prompt = str(said.get("prompt", ""))
        if prompt in {"out_of_memory", "unsafe", "invalid_input"}:
            retriable = prompt == "out_of_memory"
            await say(event="error", code=prompt, message="as asked", retriable=retriable)
            return
        if asked["resume"] != "denoise":
            await say(event="progress", stage="denoise", percent=10)
            await asyncio.sleep(float(said.get("seconds", 0)))
            if prompt == "stages":
                (folder / "latents.bin").write_bytes(b"latents")
                await say(event="progress", stage="denoise", percent=100)
                await asyncio.sleep(float(said.get("later", 0)))
        if prompt == "stages":
            assert (folder / "latents.bin").read_bytes() == b"latents"
        for index in range(int(said.get("n", 1))):
            path = folder / f"{index}.png"
            path.write_bytes(png() + bytes(int(said.get("bytes", 0))))
            await say(
                event="output", index=index, path=str(path), contentType="image/png", seed=index
            )
        await say(event="done", seconds=0.5)


async def serve(port: int, log: Path) -> None:
    """Listen on loopback until cancelled."""

    async def ready(_: web.Request) -> web.Response:
        return web.Response()

    async def limits(_: web.Request) -> web.Response:
        return web.json_response({"maxWidth": 1024, "maxSteps": 100, "maxImages": 9})

    app = web.Application()
    app.add_routes(
        [
            web.post("/run", FakeEngine(log).run),
            web.get("/ready", ready),
            web.get("/limits", limits),
        ]
    )
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
