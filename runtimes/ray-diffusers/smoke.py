"""Makes pictures with the image as a pod would, and holds it to what the platform relies on.

Usage, as root: `.venv/bin/python runtimes/ray-diffusers/smoke.py ROOTFS` with the image's mounted
root file system (`buildah mount`). The container has a read-only root, uid 10001, no capabilities
and the engine as process 1, as Pod Security `restricted` makes it. Needs runc; prints the figures
as one JSON object.
"""

import argparse
import http.client
import io
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops
from sandbox import PATIENCE_SECONDS, Container, container, gray, make

PORT = 18081
SMALL = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 4, "seed": 7}
UNAUTHENTICATED_CALL = """
import grpc, sys
channel = grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}")
try:
    channel.unary_unary("/ray.serve.ASGIService/HandleRequest")(b"", timeout=10)
    print("answered")
except grpc.RpcError as error:
    print(error.code().name)
"""
Event = dict[str, Any]


def engine(model: str, *more: str) -> tuple[str, ...]:
    """The engine's command line."""
    return (
        "python3", "-m", "diffusion", f"--model=/models/{model}", "--served-model-name=tiny",
        "--host=127.0.0.1", f"--port={PORT}", "--loras=/models/loras", "--drain-seconds=60",
        "--control-nets=/models/control-nets", "--ip-adapter=/models/ip-adapter", *more,
    )  # fmt: skip


def ask(method: str, path: str, body: object = None) -> http.client.HTTPResponse:
    """The engine's response; raises OSError where nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
    connection.request(method, path, json.dumps(body) if body is not None else None)
    return connection.getresponse()


def run(
    name: str, operation: str = "images.generate", files: Any = None, **asked: Any
) -> list[Event]:
    """All events of a job."""
    return list(events(start(name, operation, files, **asked)))


def start(
    name: str, operation: str = "images.generate", files: Any = None, **asked: Any
) -> http.client.HTTPResponse:
    """The answer to a job, as it comes."""
    body = {"id": name, "attempt": 1, "operation": operation, "input": {**SMALL, **asked}}
    return ask("POST", "/run", {**body, "files": files or {}, "output": f"/scratch/{name}"})


def events(answer: http.client.HTTPResponse) -> Iterator[Event]:
    """The events of an answer, each when it is there."""
    assert answer.status == 200, answer.status
    while line := answer.readline():
        yield json.loads(line)


def picture(folder: Path, told: list[Event], index: int = 0) -> bytes:
    """The bytes of a picture that a job told of."""
    assert told[-1]["event"] == "done", told
    (found,) = (e for e in told if e["event"] == "output" and e["index"] == index)
    return (folder / found["path"].lstrip("/")).read_bytes()


def same(one: bytes, other: bytes, apart: int = 0) -> bool:
    """Whether two pictures show the same, no value of a pixel further apart than that."""
    shown = [Image.open(io.BytesIO(each)).convert("RGB") for each in (one, other)]
    return max(high for _, high in ImageChops.difference(*shown).getextrema()) <= apart


def alike(one: bytes, other: bytes) -> bool:
    """Whether they are the same up to how numbers are rounded in batches of two sizes."""
    return same(one, other, 1)


def provenance(content: bytes) -> dict[str, Any]:
    """What a PNG says of how it was made."""
    return dict(json.loads(Image.open(io.BytesIO(content)).text["modelops"]))


def until_ready(started: Container) -> float:
    """Seconds until /ready is 200."""
    began = time.monotonic()
    while not ready():
        assert started.process.poll() is None, "the engine ended in start-up; its log is above"
        assert time.monotonic() - began < PATIENCE_SECONDS, "the engine did not become ready"
        time.sleep(0.2)
    return time.monotonic() - began


def ready() -> bool:
    """Whether the engine says that it is ready."""
    try:
        return ask("GET", "/ready").status == 200
    except OSError:
        return False


def same_seed_same_picture(folder: Path) -> None:
    """A seed makes one picture: alone, beside others of its shape, and as a later one of a job."""
    alone = picture(folder, run("alone", seed=11))
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda seed: run(f"with-{seed}", seed=seed), range(8, 16)))
    seen = [picture(folder, told) for told in together]
    assert alike(seen[11 - 8], alone)
    assert not any(alike(seen[i], seen[i + 1]) for i in range(7))
    assert alike(picture(folder, run("several", seed=9, n=3), 2), alone)
    assert same(picture(folder, run("again", seed=11)), alone)


def tells_as_agreed(folder: Path) -> None:
    """Progress only grows, each picture is told of, and its file says how it was made."""
    told = run("told", n=2)
    percents = [e["percent"] for e in told if e["event"] == "progress"]
    assert percents == sorted(set(percents))
    assert percents[-1] < 100
    outputs = [e for e in told if e["event"] == "output"]
    assert [(e["index"], e["seed"], e["width"], e["flagged"]) for e in outputs] == [
        (0, 7, 64, False),
        (1, 8, 64, False),
    ]
    made = provenance(picture(folder, told, 1))
    assert (made["model"], made["seed"], made["steps"]) == ("tiny", 8, 4)
    for kind, begins in (("jpeg", b"\xff\xd8"), ("webp", b"RIFF")):
        assert picture(folder, run(kind, format=kind)).startswith(begins)


def each_way_differs(folder: Path) -> None:
    """Each way to ask for a picture works, and what is given to it counts."""
    (folder / "scratch/in.png").write_bytes(picture(folder, run("in", seed=3)))
    image, plain = {"image": "/scratch/in.png"}, picture(folder, run("plain"))
    (folder / "scratch/mask.png").write_bytes(gray(64, 64, 255, 32))
    seen = {
        "plain": plain,
        "negative": picture(folder, run("negative", negativePrompt="a green pear")),
        "scheduler": picture(folder, run("scheduler", scheduler="dpmpp-2m-karras")),
        "guidance": picture(folder, run("guidance", guidance=1.5)),
        "lora": picture(folder, run("lora", loras=[{"name": "ink", "weight": 1.0}])),
        "loras": picture(folder, run("loras", loras=[{"name": "ink"}, {"name": "gold"}])),
        "vary": picture(folder, run("vary", "images.vary", image)),
        "edit": picture(folder, run("edit", "images.edit", image, strength=1.0)),
        "inpaint": picture(
            folder, run("inpaint", "images.edit", image | {"mask": "/scratch/mask.png"})
        ),
        "control": picture(
            folder, run("control", files={"control": "/scratch/in.png"}, controlNet="edges")
        ),
        "reference": picture(folder, run("reference", files={"reference": "/scratch/in.png"})),
    }
    pairs = itertools.combinations(seen.items(), 2)
    twins = [(one, two) for (one, first), (two, second) in pairs if same(first, second)]
    assert not twins, twins
    assert same(picture(folder, run("plain-again")), plain), "something stayed on"


def takes_adapters_hot(folder: Path) -> None:
    """A LoRA that comes while the engine serves is there for the next picture."""
    loras = folder / "models/loras"
    told = run("too-early", loras=[{"name": "new"}])
    assert told[-1]["code"] == "invalid_input", told
    subprocess.run(["cp", "-r", loras / "gold", loras / "new"], check=True)
    hot = picture(folder, run("hot", loras=[{"name": "new"}]))
    assert same(hot, picture(folder, run("gold", loras=[{"name": "gold"}])))


def refuses_at_once(folder: Path) -> None:
    """What cannot be done is refused as invalid_input, before any work."""
    (folder / "scratch/text.png").write_bytes(b"no picture")
    (folder / "scratch/bomb.png").write_bytes(gray(60_000, 60_000, 0))
    (folder / "scratch/short.png").write_bytes(gray(64, 64, 9)[:60])
    files = [{"image": f"/scratch/{name}.png"} for name in ("text", "bomb", "short", "missing")]
    told = [
        run("r", width=4096 * 1024),
        run("r", width=65),
        run("r", steps=0),
        run("r", n=1000),
        run("r", seed=-1),
        run("r", guidance=float("inf")),
        run("r", scheduler="magic"),
        run("r", loras=[{"name": "../../etc"}]),
        run("r", colour="red"),
        run("r", "images.edit"),
        run("r", "images.paint"),
        run("r", files={"image": "/etc/passwd"}),
        run("../../tmp/r"),
        list(events(ask("POST", "/run", "no job"))),
        *(run("r", "images.vary", each) for each in files),
    ]
    wrong = [t[-1] for t in told if t[-1].get("code") != "invalid_input" or t[-1]["retriable"]]
    assert not wrong, wrong


def lives_on_without_memory() -> None:
    """A picture that memory does not hold fails alone; the next one is made."""
    told = run("huge", width=1_000_000, height=1_000_000, steps=1)
    assert told[-1]["code"] == "out_of_memory", told
    assert run("after")[-1]["event"] == "done"


def stops_for_who_goes() -> float:
    """Work for a connection that is closed is broken off; returns the seconds until it was."""
    answer = start("long", width=512, height=512, steps=1000)
    first = next(e for e in events(answer) if e["event"] == "progress")
    assert first["percent"] < 50
    answer.close()
    gone = time.monotonic()
    while b"modelops:jobs_running 0" not in ask("GET", "/metrics").read():
        assert time.monotonic() - gone < 60, "the work goes on"
        time.sleep(0.05)
    return time.monotonic() - gone


def comes_back(started: Container) -> float:
    """The process that paints is killed: its job ends, and the engine is ready again by itself.

    Returns the seconds that took.
    """
    answer = start("killed", width=512, height=512, steps=1000)
    assert json.loads(answer.readline())["event"] == "progress"
    (painter,) = (pid for pid in started.processes() if b"Engine" in _title(pid))
    subprocess.run(["kill", "-KILL", str(painter)], check=True)
    killed = time.monotonic()
    ended = [e for e in _until_broken(answer) if e["event"] in {"done", "error"}]
    assert not ended
    while not ready() or run("back")[-1]["event"] != "done":
        assert time.monotonic() - killed < PATIENCE_SECONDS, "the engine did not come back"
        time.sleep(0.2)
    return time.monotonic() - killed


def _until_broken(answer: http.client.HTTPResponse) -> Iterator[Event]:
    try:
        yield from events(answer)
    except (OSError, http.client.HTTPException, ValueError):
        return


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def listens_at_home_only(started: Container) -> None:
    """All of Ray listens at the loopback address but one port of the replica; all want a token."""
    listed = subprocess.run(
        ["ss", "--listening", "--tcp", "--numeric", "--processes", "--no-header"],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout.splitlines()  # fmt: skip
    ids = {f"pid={pid}," for pid in started.processes()}
    ours = [line.split()[3] for line in listed if any(each in line for each in ids)]
    home = ("127.0.0.1:", "[::1]:", "[::ffff:127.0.0.1]:")
    outside = [each for each in ours if not each.startswith(home)]
    assert len(ours) > len(outside) == 1, outside
    told = started.executed("python3", "-c", UNAUTHENTICATED_CALL, outside[0].rpartition(":")[2])
    assert told == "UNAUTHENTICATED", told


def finishes_what_it_began(started: Container) -> float:
    """A job that is open when SIGTERM comes is done to its end; then the engine exits with 0."""
    answer = start("last", width=256, height=256, steps=60)
    assert json.loads(answer.readline())["event"] == "progress"
    started.kill("TERM")
    terminated = time.monotonic()
    assert list(events(answer))[-1]["event"] == "done"
    assert started.process.wait(90) == 0
    return time.monotonic() - terminated


def dies_when_told_in_start_up(rootfs: Path, folder: Path) -> float:
    """SIGTERM in start-up ends the engine; returns the seconds that took."""
    with container(rootfs, folder, engine("sd15")) as started:
        time.sleep(4)
        started.kill("TERM")
        terminated = time.monotonic()
        started.process.wait(60)
        return time.monotonic() - terminated


def judges(rootfs: Path, folder: Path) -> None:
    """What the safety checker finds is not given by default, and only marked with Flag."""
    for safety, ended in (("Block", "error"), ("Flag", "done")):
        with container(rootfs, folder, engine("unsafe/sd15", f"--safety={safety}")) as started:
            until_ready(started)
            told = run(f"judged-{safety}")
            assert told[-1]["event"] == ended, told
            flags = [e["flagged"] for e in told if e["event"] == "output"]
            assert flags == ([True] if safety == "Flag" else [])
            assert told[-1].get("code") == ("unsafe" if safety == "Block" else None)


def memory(started: Container) -> float:
    """Megabytes of all its processes, what they share counted once."""
    rolled = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in started.processes())
    sizes = (
        int(found[1])
        for text in rolled
        if (found := re.search(r"^Pss: +(\d+)", text, re.MULTILINE))
    )
    return sum(sizes) / 1024


def figures_of_speed() -> dict[str, float]:
    """Seconds to a picture of 256 by 256 in 20 steps, and how many a second, alone and by eight."""
    asked = {"width": 256, "height": 256, "steps": 20}
    run("warm", **asked)
    seconds = sorted(_first(f"first-{i}", asked) for i in range(9))
    began = time.monotonic()
    for i in range(8):
        run(f"one-{i}", **asked)
    alone = 8 / (time.monotonic() - began)
    with ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        list(pool.map(lambda i: run(f"eight-{i}", **asked), range(8)))
        together = 8 / (time.monotonic() - began)
    return {
        "pictureSeconds": seconds[4],
        "picturesPerSecondAlone": alone,
        "picturesPerSecondByEight": together,
    }


def _first(name: str, asked: dict[str, Any]) -> float:
    began = time.monotonic()
    next(e for e in events(start(name, **asked)) if e["event"] == "output")
    return time.monotonic() - began


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rootfs", type=Path, help="the image's root file system, mounted")
    rootfs = parser.parse_args().rootfs
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("models", "scratch"):
            (folder / name).mkdir()
            (folder / name).chmod(0o777)
        folder.chmod(0o755)
        tiny = "/script/tiny_pipelines.py"
        make(rootfs, folder, tiny, "/models", "--extras")
        make(rootfs, folder, tiny, "/models/unsafe", "sd15", "--judge=unsafe")
        make(rootfs, folder, "/script/every_family.py", "/models")
        figures["terminateInStartUpSeconds"] = dies_when_told_in_start_up(rootfs, folder)
        limits = ("--max-width=1000000", "--max-height=1000000", "--max-steps=10000", "--batch=8")
        with container(rootfs, folder, engine("sd15", *limits)) as started:
            figures["readySeconds"] = until_ready(started)
            figures["memoryMegabytes"] = memory(started)
            listens_at_home_only(started)
            same_seed_same_picture(folder)
            tells_as_agreed(folder)
            each_way_differs(folder)
            takes_adapters_hot(folder)
            refuses_at_once(folder)
            lives_on_without_memory()
            figures["stopSeconds"] = stops_for_who_goes()
            figures |= figures_of_speed()
            figures["comeBackSeconds"] = comes_back(started)
            figures["drainSeconds"] = finishes_what_it_began(started)
        judges(rootfs, folder)
    sys.stdout.write(json.dumps({name: round(value, 2) for name, value in figures.items()}) + "\n")


if __name__ == "__main__":
    main()
