"""Plays the gateway's control process: tells how many replicas each model needs."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Decider:
    """What it says now, of which models; while it is ``silent`` it answers with an error."""

    url: str = ""
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    silent: bool = False
    asked: int = 0

    def decide(self, name: str, replicas: int, metric: str = "queueDepth", **more: Any) -> None:
        """Have a model, as NAMESPACE/NAME, need so many replicas."""
        sentence = f"{metric} asks for {replicas}"
        told = {"replicas": replicas, "active": replicas > 0, "metric": metric, "value": 9.5}
        self.models[name] = told | {"target": 4, "sentence": sentence, **more}

    def document(self) -> Mapping[str, Any]:
        """Return what `/decisions` says; a decision is made anew unless it has its time."""
        return {"models": {name: {"at": time.time(), **m} for name, m in self.models.items()}}


@contextmanager
def deciding() -> Iterator[Decider]:
    """Serve decisions on the loopback."""
    decider = Decider()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            decider.asked += 1
            body = json.dumps(decider.document()).encode()
            self.send_response(503 if decider.silent else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    decider.url = f"http://127.0.0.1:{server.server_address[1]}/decisions"
    try:
        yield decider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
