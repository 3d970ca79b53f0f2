"""A thin wrapper of kubectl and helm, for the demo and for the stories' tests."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

Manifest = Mapping[str, Any]


class KubeError(RuntimeError):
    """A kubectl or helm call failed; the text is what it said."""


@dataclass(frozen=True)
class Kube:
    """One cluster: where its kubeconfig is, which context of it, where kubectl and helm are."""

    kubectl: str
    helm: str
    kubeconfig: Path | None = None
    context: str | None = None

    def run(self, *args: str, stdin: str | None = None, timeout: float = 600) -> str:
        """Return what kubectl prints for these arguments; raises KubeError with its complaint."""
        return self._call([self.kubectl, *self._cluster("--context"), *args], stdin, timeout)

    def run_helm(self, *args: str, timeout: float = 600) -> str:
        """Return what helm prints for these arguments; raises KubeError with its complaint."""
        return self._call([self.helm, *self._cluster("--kube-context"), *args], None, timeout)

    def apply(self, given: Manifest | Sequence[Manifest], *, namespace: str | None = None) -> str:
        """Apply one manifest or several; kubectl's strict validation refuses unknown fields."""
        listed = [given] if isinstance(given, Mapping) else list(given)
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": listed})
        return self.run("apply", *_in(namespace), "-f", "-", stdin=text)

    def get(self, what: str, name: str, namespace: str) -> dict[str, Any] | None:
        """Return an object, or None when there is none."""
        text = self.run("get", what, name, *_in(namespace), "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def all(self, what: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        """Return the objects of a type in a namespace."""
        chosen = ["-l", selector] if selector else []
        items = json.loads(self.run("get", what, *_in(namespace), *chosen, "-o", "json"))["items"]
        return list(items)

    def wait(self, what: str, condition: str, namespace: str, seconds: float) -> None:
        """Wait until `kubectl wait` sees the condition; raises KubeError when it does not."""
        limit = f"--timeout={int(seconds)}s"
        self.run("wait", what, f"--for={condition}", *_in(namespace), limit, timeout=seconds + 30)

    @contextmanager
    def forward(self, target: str, port: int, namespace: str) -> Iterator[str]:
        """Yield a loopback URL that leads to a port of a pod or Service."""
        arguments = ["port-forward", *_in(namespace), target, f":{port}", "--address=127.0.0.1"]
        with self.running(*arguments) as lines:
            yield f"http://127.0.0.1:{_forwarded(lines)}"

    @contextmanager
    def running(self, *args: str) -> Iterator[IO[str]]:
        """Yield what kubectl prints for these arguments; it runs until the block ends."""
        with subprocess.Popen(
            [self.kubectl, *self._cluster("--context"), *args],
            env=self._environment(),
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            try:
                yield process.stdout
            finally:
                process.terminate()

    def _call(self, command: list[str], stdin: str | None, timeout: float) -> str:
        done = subprocess.run(
            command,
            env=self._environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            complaint = done.stderr.strip() or done.stdout.strip()
            raise KubeError(complaint)
        return done.stdout

    def _cluster(self, flag: str) -> list[str]:
        return [f"{flag}={self.context}"] if self.context else []

    def _environment(self) -> dict[str, str]:
        chosen = {"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig else {}
        return {**os.environ, **chosen}


def _in(namespace: str | None) -> list[str]:
    return ["-n", namespace] if namespace else []


def _forwarded(lines: IO[str]) -> str:
    found = re.search(r"127\.0\.0\.1:(\d+)", lines.readline())
    if not found:
        message = "kubectl port-forward ended before it forwarded anything"
        raise KubeError(message)
    return found[1]
