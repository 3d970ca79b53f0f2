"""The HTTP side of the fake hub."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from e2e.hub.repository import Entry, Repository

Body = Callable[[str, Iterator[bytes]], Iterator[bytes]]
"""Changes a file's bytes on their way out: (path, chunks) -> chunks."""

_INFO = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)(?:/revision/(?P<revision>.+))?")
_TREE = re.compile(r"/api/models/(?P<name>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)")
_FILE = re.compile(r"(?P<cdn>/cdn)?/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_RANGE = re.compile(r"bytes=(?P<first>\d+)-(?P<last>\d*)")
_BLOCK = 64 * 1024


@dataclass(frozen=True)
class Served:
    """One answer: what was asked, how it went, which bytes of a file went out."""

    method: str
    path: str
    status: int
    sent: int = 0
    first: int = 0


@dataclass
class Hub:
    """A fake hub that serves folders below ``root`` on a port of its own."""

    root: Path
    token: str | None = None
    body: Body = lambda _, chunks: chunks
    host: str = "127.0.0.1"
    port: int = 0
    log: Callable[[Served], None] = lambda _: None
    served: list[Served] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen."""
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = _Server((self.host, self.port), handler)

    def __enter__(self) -> Self:
        """Serve in a thread until the end of the block."""
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve until the process ends."""
        self._server.serve_forever()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT has to be."""
        return f"http://{self.host}:{self._server.server_address[1]}"

    def record(self, served: Served) -> None:
        """Keep what was served."""
        self.served.append(served)
        self.log(served)

    def sent(self, path: str) -> int:
        """Return how many bytes of the files that end in ``path`` went out."""
        return sum(each.sent for each in self.served if each.path.endswith(path))

    def requests(self, path: str) -> int:
        """Return how many times the bytes of such files were asked for."""
        return sum(each.status in {200, 206} and each.path.endswith(path) for each in self.served)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        if info := _INFO.fullmatch(path):
            self._info(info["name"], info["revision"] or "main", parse_qs(url.query))
        elif tree := _TREE.fullmatch(path):
            self._tree(tree["name"], tree["revision"])
        elif file := _FILE.fullmatch(path):
            self._file(file["name"], file["revision"], file["path"], cdn=bool(file["cdn"]))
        elif path == "/health":
            self._json(HTTPStatus.OK, {"status": "ok"})
        else:
            self._error(HTTPStatus.NOT_FOUND, None, "not a part of this fake hub")

    do_HEAD = do_GET  # noqa: N815 - the standard library's own name

    def log_message(self, *_: object) -> None:
        """Leave the log to the hub."""

    def _info(self, name: str, revision: str, query: dict[str, list[str]]) -> None:
        repository = self._allowed(name, revision)
        if repository:
            blobs = query.get("blobs", ["false"])[0].lower() in {"true", "1"}
            self._json(HTTPStatus.OK, repository.describe(blobs=blobs))

    def _tree(self, name: str, revision: str) -> None:
        repository = self._allowed(name, revision)
        if repository:
            self._json(HTTPStatus.OK, [entry.leaf() for entry in repository.entries])

    def _file(self, name: str, revision: str, path: str, *, cdn: bool) -> None:
        repository = self._allowed(name, revision)
        if not repository:
            return
        if repository.access == "gated" and not self._token_is_right() and not cdn:
            self._gated(name)
            return
        entry = repository.entry(path)
        if not entry:
            self._error(HTTPStatus.NOT_FOUND, "EntryNotFound", "Entry not found")
        elif entry.sha256 and not cdn:
            self._redirect(repository, entry)
        else:
            self._content(repository, entry)

    def _allowed(self, name: str, revision: str) -> Repository | None:
        """Return the repository, or answer as the hub does: without a token it hides what is."""
        sent = self.headers.get("Authorization")
        if sent and not self._token_is_right():
            message = "Invalid credentials in Authorization header"
            self._error(HTTPStatus.UNAUTHORIZED, None, message)
            return None
        exists = Repository.find(self.hub.root, name)
        if not exists or (exists.access == "private" and not sent):
            status = HTTPStatus.NOT_FOUND if sent else HTTPStatus.UNAUTHORIZED
            self._error(status, "RepoNotFound", "Repository not found")
            return None
        found = Repository.find(self.hub.root, name, revision)
        if not found:
            self._error(HTTPStatus.NOT_FOUND, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found

    def _token_is_right(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def _gated(self, name: str) -> None:
        sent = "Authorization" in self.headers
        status = HTTPStatus.FORBIDDEN if sent else HTTPStatus.UNAUTHORIZED
        self._error(status, "GatedRepo", f"Access to model {name} is restricted")

    def _redirect(self, repository: Repository, entry: Entry) -> None:
        path = quote(f"/cdn/{repository.name}/resolve/{repository.commit}/{entry.path}")
        self._head(
            HTTPStatus.FOUND,
            {
                "Location": f"http://{self.headers['Host']}{path}",
                "X-Repo-Commit": repository.commit,
                "X-Linked-Etag": f'"{entry.etag}"',
                "X-Linked-Size": str(entry.size),
                "Content-Length": "0",
            },
        )
        self._record(HTTPStatus.FOUND)

    def _content(self, repository: Repository, entry: Entry) -> None:
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        first = int(wanted["first"]) if wanted else 0
        last = min(int((wanted and wanted["last"]) or entry.size), entry.size - 1)
        if wanted and first >= entry.size:
            self._error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, None, "beyond the end")
            return
        status = HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK
        place = {"Content-Range": f"bytes {first}-{last}/{entry.size}"} if wanted else {}
        self._head(
            status,
            {
                "ETag": f'"{entry.etag}"',
                "X-Repo-Commit": repository.commit,
                "Accept-Ranges": "bytes",
                "Content-Type": "application/octet-stream",
                "Content-Length": str(last + 1 - first),
                **place,
            },
        )
        self._send(status, entry, first, last + 1)

    def _send(self, status: int, entry: Entry, first: int, end: int) -> None:
        sent = 0
        try:
            if self.command == "GET":
                for chunk in self.hub.body(entry.path, _chunks(entry.file, first, end)):
                    self.wfile.write(chunk)
                    sent += len(chunk)
        except OSError:
            self.close_connection = True
        finally:
            # A HEAD is whole without a body: its connection stays open, as its client expects.
            self.close_connection |= self.command == "GET" and sent != end - first
            self._record(status if self.command == "GET" else HTTPStatus.NO_CONTENT, sent, first)

    def _json(self, status: int, value: object, **headers: str) -> None:
        content = json.dumps(value).encode()
        length = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        self._head(status, length | headers)
        if self.command == "GET":
            self.wfile.write(content)
        self._record(status)

    def _error(self, status: int, code: str | None, message: str) -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self._json(status, {"error": message}, **headers)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _record(self, status: int, sent: int = 0, first: int = 0) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.record(Served(self.command, path, status, sent, first))


def _chunks(file: Path, first: int, end: int) -> Iterator[bytes]:
    with file.open("rb") as content:
        content.seek(first)
        while first < end and (chunk := content.read(min(_BLOCK, end - first))):
            first += len(chunk)
            yield chunk
