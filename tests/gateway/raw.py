"""Requests as no well-behaved client sends them: bytes, and HTTP/2 frame by frame."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events

from gateway.proxy import Gateway

CHAT = "/v1/chat/completions"
BODY = '{"model": "llama-8b"}'
LENGTH = f"Content-Length: {len(BODY)}\r\n"


def post(gateway: Gateway, *headers: str, path: str = CHAT, key: str | None = None) -> str:
    """Return the head of a request with a valid key, without the empty line that ends it."""
    told = [f"Authorization: Bearer {key or gateway.key('*')}", "Content-Type: application/json"]
    lines = [f"POST {path} HTTP/1.1", "Host: x", *told, *headers]
    return "".join(f"{line}\r\n" for line in lines)


def exchange(gateway: Gateway, request: str, seconds: float = 5) -> bytes:
    """Send a request as it is and return all that comes until the connection ends or is silent."""
    with socket.create_connection(("127.0.0.1", gateway.front.port), seconds) as sent:
        came = b""
        try:
            sent.sendall(request.encode("latin-1"))
            while piece := sent.recv(65536):
                came += piece
                if _complete(came):
                    break
        except (ConnectionError, TimeoutError):
            pass
        return came


def _complete(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end and lengths) and len(body) >= int(lengths[0].partition(b":")[2])


def status(answer: bytes) -> int:
    """Return the status of an answer; 0 when there is none."""
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


@dataclass
class Http2:
    """An HTTP/2 connection that checks nothing of what it sends."""

    socket: socket.socket
    state: h2.connection.H2Connection
    events: list[h2.events.Event] = field(default_factory=list)

    def ask(self, headers: list[tuple[str, str]], *, end: bool = True) -> int:
        """Begin a stream and return its number."""
        stream = self.state.get_next_available_stream_id()
        self.state.send_headers(stream, headers, end_stream=end)
        self.flush()
        return stream

    def flush(self) -> None:
        """Send what has been said so far."""
        self.socket.sendall(self.state.data_to_send())

    def until_over(self, stream: int) -> list[h2.events.Event]:
        """Return what came of a stream, once it or the connection has ended."""
        over = (h2.events.StreamEnded, h2.events.StreamReset)
        while True:
            mine = [e for e in self.events if getattr(e, "stream_id", None) == stream]
            if any(isinstance(e, over) for e in mine) or self._ended():
                return mine
            if not self.receive():
                return mine

    def receive(self) -> bool:
        """Take in what came; return False when the other side has gone."""
        try:
            came = self.socket.recv(65536)
        except ConnectionError:
            return False
        if came:
            self.events += self.state.receive_data(came)
            self.flush()
        return bool(came)

    def _ended(self) -> bool:
        return any(isinstance(e, h2.events.ConnectionTerminated) for e in self.events)


@contextmanager
def http2(gateway: Gateway) -> Iterator[Http2]:
    """Open an HTTP/2 connection."""
    config = h2.config.H2Configuration(
        header_encoding="utf-8",
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
        validate_inbound_headers=False,
    )
    with socket.create_connection(("127.0.0.1", gateway.front.port), 4) as opened:
        connection = Http2(opened, h2.connection.H2Connection(config))
        connection.state.initiate_connection()
        connection.flush()
        yield connection


def pseudo(gateway: Gateway, *more: tuple[str, str], method: str = "POST") -> list[tuple[str, str]]:
    """Return the headers of an HTTP/2 request with a valid key."""
    return [
        (":method", method), (":path", CHAT), (":scheme", "http"), (":authority", "x"),
        ("authorization", f"Bearer {gateway.key('*')}"), ("content-type", "application/json"),
        *more,
    ]  # fmt: skip


def feed(connection: Http2, stream: int, size: int) -> None:
    """Send so many bytes of a stream's body as it is let; raises OSError when it has gone."""
    while size:
        room = min(
            connection.state.local_flow_control_window(stream),
            connection.state.max_outbound_frame_size,
            size,
        )
        if room:
            connection.state.send_data(stream, b"x" * room)
            connection.flush()
            size -= room
        elif not connection.receive():
            raise ConnectionError
