"""Engines that die in the middle of a stream, or end it in ways of their own."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _die(caller: socket.socket, way: str) -> None:
    if way == "resets":
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if way == "babbles":
        caller.sendall(b"this is no chunk\r\n")
    if way == "falls silent":
        caller.recv(1)


@contextmanager
def dying(
    way: str, *said: bytes, head: bytes = HEAD, heard: threading.Event | None = None
) -> Iterator[int]:
    """Run an engine that says this and dies in a way, once that was heard; yield its port."""

    def answer(caller: socket.socket) -> None:
        with suppress(OSError), caller:
            caller.recv(65536)
            caller.sendall(head)
            for piece in said:
                caller.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                time.sleep(0.001)  # or they are one piece
            if heard:
                heard.wait(20)
            _die(caller, way)

    def run() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=server.accept()[:1], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        threading.Thread(target=run, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
