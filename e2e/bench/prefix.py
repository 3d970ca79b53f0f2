"""Prefix-aware routing beside least requests, with the prefix caches of two real vLLM engines.

People chat about documents: sessions of several turns, several sessions a document, all documents
together larger than one engine's cache. The same sessions go through the same gateway to the same
two engines by either policy, in alternating rounds that begin with empty caches. `python -m
e2e.bench.prefix` measures; it needs the local cluster's containerd and registry, and no chart.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import httpx

from e2e.bench.record import Figure, record
from e2e.chat import bearer
from e2e.cluster.apiserver import free_port
from e2e.cluster.node import REGISTRY
from e2e.cluster.places import Places
from e2e.cluster.shell import step
from e2e.images.recipe import key
from e2e.platform import ROOT
from modelops.gateway.files import publish
from modelops.gateway.keys import KeyRecord, SigningKey
from modelops.gateway.render import BOOTSTRAP, render
from modelops.gateway.snapshot import Endpoint, Front, Model, Snapshot

DOCUMENTS = 8
DOCUMENT_CHARACTERS = 1500
SESSIONS = 24
TURNS = 3
AT_ONCE = 3
ROUNDS = 2
CONTEXT = 2048
BLOCK = 32
BLOCKS = 192
"""An engine's cache in blocks of BLOCK tokens: room for about six of the eight documents."""

POLICIES = {"least": None, "prefix": "x-session-id"}
START_SECONDS = 180.0
WRITE_MODEL = """
import sys; sys.dont_write_bytecode = True; sys.path.insert(0, "/script")
import tiny_llama as t; from pathlib import Path
t.HIDDEN, t.QUERY_HEADS, t.INTERMEDIATE, t.LAYERS, t.CONTEXT = 512, 8, 1536, 4, 4096
t.write(Path("/out/model"), 0)
"""
"""Twelve million parameters, so that a document takes about a second to read."""

ENV = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_SERVER_DEV_MODE": "1",  # for /reset_prefix_cache
    "VLLM_SKIP_MODEL_NAME_VALIDATION": "1",
}


@dataclass(frozen=True, slots=True)
class Round:
    """What one round showed: tokens asked for in caches and found there, seconds to first token."""

    queries: float
    hits: float
    waits: tuple[float, ...]


@dataclass(slots=True)
class Session:
    """One conversation about a document."""

    document: str
    turns: list[dict[str, str]] = field(default_factory=list)

    def ask(self, number: int) -> list[dict[str, str]]:
        """Return the conversation with its next question."""
        opening = self.document if not self.turns else ""
        question = f"{opening}Question {number}: what happens in chapter {number * 7}?"
        self.turns.append({"role": "user", "content": question})
        return self.turns


def sessions(seed: int) -> list[Session]:
    """Return the sessions of a round: documents by turns, in an order that the seed tells."""
    words = (ROOT / "README.md").read_text(encoding="utf-8").split()
    chance = random.Random(seed)  # noqa: S311  a workload that can be run again, no secret
    texts = [
        f"Document {seed}-{number}. " + " ".join(chance.choices(words, k=DOCUMENT_CHARACTERS))
        for number in range(DOCUMENTS)
    ]
    found = [Session(texts[n % DOCUMENTS][:DOCUMENT_CHARACTERS]) for n in range(SESSIONS)]
    chance.shuffle(found)
    return found


def measure() -> None:
    """Measure and record the hit rates and times to first token of both policies."""
    _prepare()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with step("make the model, start two engines and a gateway"):
            _write_model(folder)
            engines = [stack.enter_context(_engine(n, folder)) for n in range(2)]
            for engine in engines:
                _until_it_answers(f"{engine}/health")
            client = stack.enter_context(_gateway(folder, engines))
        found: dict[str, list[Round]] = {name: [] for name in POLICIES}
        for number in range(ROUNDS):
            for name in POLICIES:
                with step(f"round {number + 1} of {ROUNDS}: {name}"):
                    found[name].append(_round(client, engines, name, number))
    _report(found)


def _report(found: dict[str, list[Round]]) -> None:
    def rate(name: str) -> float:
        return sum(r.hits for r in found[name]) / sum(r.queries for r in found[name])

    def wait(name: str, share: float) -> float:
        waits = sorted(wait for r in found[name] for wait in r.waits)
        return waits[min(len(waits) - 1, int(share * len(waits)))]

    def mean(name: str) -> float:
        return statistics.mean(wait for r in found[name] for wait in r.waits)

    least, prefix = POLICIES
    record(
        "prefix",
        [
            Figure("prefix_hit_rate", rate(prefix), "ratio", {"least_requests": rate(least)}),
            Figure("prefix_ttft_mean", mean(prefix), "s", {"least_requests": mean(least)}),
            *(
                Figure(
                    f"prefix_ttft_p{int(s * 100)}", wait(prefix, s), "s",
                    {"least_requests": wait(least, s)},
                )
                for s in (0.5, 0.95)
            ),
        ],
    )  # fmt: skip


def _round(client: httpx.Client, engines: list[str], policy: str, seed: int) -> Round:
    for engine in engines:
        httpx.post(f"{engine}/reset_prefix_cache").raise_for_status()
    before = _counts(engines)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = pool.map(lambda session: _converse(client, policy, session), sessions(seed))
        waits = tuple(wait for session in done for wait in session)
    queries, hits = (now - was for now, was in zip(_counts(engines), before, strict=True))
    return Round(queries, hits, waits)


def _converse(client: httpx.Client, policy: str, session: Session) -> list[float]:
    """Have all turns of a session; return the seconds to the first token of each."""
    waits = []
    for number in range(1, TURNS + 1):
        wait, answer = _chat(client, policy, session.ask(number))
        session.turns.append({"role": "assistant", "content": answer})
        waits.append(wait)
    return waits


def _chat(client: httpx.Client, policy: str, messages: list[dict[str, str]]) -> tuple[float, str]:
    body = {"model": policy, "messages": messages, "max_tokens": 8, "stream": True}
    started, first, pieces = time.monotonic(), None, []
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            raise RuntimeError(
                f"the gateway answered {answer.status_code}: {answer.read()[:500]!r}"
            )
        for line in answer.iter_lines():
            for choice in _choices(line):
                first = first or time.monotonic() - started
                pieces.append(choice["delta"].get("content") or "")
    assert first is not None, "a stream without any choice"
    return first, "".join(pieces)


def _choices(line: str) -> list[dict[str, dict[str, str]]]:
    data = line.removeprefix("data: ")
    return [] if data in {line, "[DONE]"} else list(json.loads(data)["choices"])


def _counts(engines: list[str]) -> tuple[float, float]:
    """Return the tokens that all engines looked for in their prefix caches, and found there."""
    lines = [line for e in engines for line in httpx.get(f"{e}/metrics").text.splitlines()]
    return (
        sum(_value(line) for line in lines if line.startswith("vllm:prefix_cache_queries_total")),
        sum(_value(line) for line in lines if line.startswith("vllm:prefix_cache_hits_total")),
    )


def _value(line: str) -> float:
    return float(line.rpartition(" ")[2])


def _prepare() -> None:
    """Have the local cluster run, and the engine's image where containerd finds it."""
    subprocess.run([sys.executable, "-m", "e2e.cluster", "up"], cwd=ROOT, check=True)
    push = [sys.executable, "-m", "e2e.images", "push", "--registry", REGISTRY, "vllm-cpu"]
    subprocess.run(push, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        [*_ctr(), "images", "pull", "--plain-http", _image()], check=True, stdout=subprocess.DEVNULL
    )


def _image() -> str:
    return f"{REGISTRY}/modelops/vllm-cpu:{key('vllm-cpu')}"


def _ctr() -> list[str]:
    return ["ctr", "--address", str(Places.of_environment().containerd_socket), "-n", "k8s.io"]


def _run(name: str, mounts: dict[Path, str], *command: str) -> list[str]:
    """Return the command line of a container on the host's network."""
    bound = [f"--mount=type=bind,src={a},dst={b},options=rbind:rw" for a, b in mounts.items()]
    env = [f"--env={name}={value}" for name, value in ENV.items()]
    tmp = "--mount=type=tmpfs,dst=/tmp,options=mode=1777"
    return [*_ctr(), "run", "--rm", "--net-host", tmp, *bound, *env, _image(), name, *command]


def _write_model(folder: Path) -> None:
    out = folder / "weights"
    out.mkdir()
    for path in (folder, out):
        path.chmod(0o777)  # the image's user is not ours
    mounts = {ROOT / "runtimes" / "vllm": "/script", out: "/out"}
    subprocess.run(_run("bench-prefix-model", mounts, "python3", "-c", WRITE_MODEL), check=True)


@contextmanager
def _engine(number: int, folder: Path) -> Iterator[str]:
    """Run an engine with a small prefix cache; yields its URL at once."""
    port, name = free_port(), f"bench-prefix-{number}"
    command = [
        "python3", "-m", "vllm.entrypoints.openai.api_server", "--model=/weights/model",
        "--host=127.0.0.1", f"--port={port}", "--enforce-eager", "--load-format=safetensors",
        "--distributed-executor-backend=uni", "--disable-uvicorn-access-log",
        f"--max-model-len={CONTEXT}", "--enable-prefix-caching", f"--block-size={BLOCK}",
        f"--num-gpu-blocks-override={BLOCKS}",
    ]  # fmt: skip
    with (
        (folder / f"{name}.log").open("w") as log,
        subprocess.Popen(
            _run(name, {folder / "weights": "/weights"}, *command), stdout=log, stderr=log
        ) as process,
    ):
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            subprocess.run([*_ctr(), "task", "kill", "-s", "SIGKILL", name], check=False)
            process.wait(60)


@contextmanager
def _gateway(folder: Path, engines: list[str]) -> Iterator[httpx.Client]:
    """Run the gateway's Envoy before the engines, once by each policy; yields a client of it."""
    config, signing = folder / "gateway", SigningKey.generate()
    config.mkdir()
    places = tuple(Endpoint("127.0.0.1", int(engine.rpartition(":")[2])) for engine in engines)
    models = tuple(
        Model(name, "bench", name, 1, places, session_header=header)
        for name, header in POLICIES.items()
    )
    port, admin, metrics = free_port(), free_port(), free_port()
    front = Front(str(config), "127.0.0.1", port, admin, metrics)
    publish(config, render(Snapshot(models, public_keys=(signing.public,)), front), {})
    now = int(time.time())
    token = signing.sign(KeyRecord("bench", "bench", ("*",), now, now + 86_400))
    command = [str(_envoy()), "-c", str(config / BOOTSTRAP), "--concurrency", "1"]
    command += ["--use-dynamic-base-id", "--log-level", "error"]
    with (
        (config / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
        httpx.Client(
            base_url=f"http://127.0.0.1:{front.port}", headers=bearer(token), timeout=300
        ) as client,
    ):
        try:
            _until_it_answers(f"http://127.0.0.1:{front.metrics_port}/ready")
            yield client
        finally:
            process.terminate()


def _envoy() -> Path:
    found = find_spec("envoy")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "_bin" / "envoy"


def _until_it_answers(url: str) -> None:
    """Wait until a URL answers with 200; raises TimeoutError when it does not in time."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise TimeoutError(f"{url} did not answer within {START_SECONDS:.0f} s")


if __name__ == "__main__":
    measure()
