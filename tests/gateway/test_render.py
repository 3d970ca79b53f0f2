"""From a snapshot to Envoy's files."""

import json
import subprocess
from dataclasses import replace
from difflib import unified_diff
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2e.cluster import rust
from gateway.certificates import certificate
from gateway.conftest import model
from gateway.proxy import binary
from modelops.gateway.files import publish, published
from modelops.gateway.memo import Memo, dumps
from modelops.gateway.render import BOOTSTRAP, render
from modelops.gateway.snapshot import Contended, Front, Route, Scale, Snapshot, Target, Tenant, Tls

GOLDEN = Path(__file__).parent / "golden"
FRONT = Front("/config", memory=2**30, tenant_limit=6000)
PUBLIC = {"kty": "EC", "crv": "P-256", "kid": "one", "x": "eA", "y": "eQ", "alg": "ES256"}
CHAT = model("chat", 8000, 8001)
STICKY = model("sticky", 8002, session_header="x-session-id")
ASLEEP = model("asleep", scale=Scale(0, 2, 0))
SNAPSHOT = Snapshot(
    models=(CHAT, model("Qwen/Qwen3-8B"), STICKY, ASLEEP),
    routes=(
        Route("best", "team", "best", 1, (Target(CHAT),)),
        Route("group", "team", "group", 1, (Target(CHAT, 9), Target(STICKY, 1)), (CHAT,)),
        Route("lazy", "team", "lazy", 1, (Target(ASLEEP),), (CHAT,)),
    ),
    tenants=(
        Tenant("acme", models=("chat", "g*"), requests_per_minute=60),
        Tenant("free", priority="High", requests_per_minute=100_000),
    ),
    public_keys=(PUBLIC,),
    revoked=frozenset({"key-2", "key-1"}),
    key_limits=frozenset({60, 1200}),
    contended=Contended(frozenset({"key-3"}), frozenset({"spender"})),
)
MODELS = st.text("ab/.", min_size=1).map(lambda name: model(name, *range(1, len(name))))
SNAPSHOTS = st.builds(
    Snapshot,
    models=st.lists(
        MODELS,
        max_size=4,
        unique_by=lambda m: m.cluster,
    ).map(tuple),
    routes=st.lists(
        st.builds(
            Route,
            st.text("cd", min_size=1),
            st.just("team"),
            st.text("cd", min_size=1),
            targets=st.lists(st.builds(Target, MODELS, st.integers(0, 9)), max_size=3).map(tuple),
            fallback=st.lists(MODELS, max_size=3).map(tuple),
        ),
        max_size=3,
        unique_by=(lambda r: r.address, lambda r: r.served_name),
    ).map(tuple),
    tenants=st.lists(
        st.builds(Tenant, st.text("ab", min_size=1), st.none() | st.just(("a*",))),
        max_size=3,
        unique_by=lambda t: t.name,
    ).map(tuple),
    revoked=st.frozensets(st.text("ab", min_size=1), max_size=3),
    key_limits=st.frozensets(st.integers(1, 10**6), max_size=3),
)


def pretty(text: str) -> str:
    """Return JSON as people review it."""
    return json.dumps(json.loads(text), indent=1) + "\n"


def test_the_configuration_is_the_reviewed_one(request: pytest.FixtureRequest) -> None:
    """A small snapshot is rendered as its golden files say, byte for byte."""
    now = {name: pretty(text) for name, text in render(SNAPSHOT, FRONT).items()}
    if request.config.getoption("--update-golden"):
        publish(GOLDEN, now, published(GOLDEN))
    before = published(GOLDEN)
    assert now.keys() == before.keys()
    for name, text in now.items():
        changes = unified_diff(before[name].splitlines(), text.splitlines(), name, "now")
        told = "\n".join(changes)
        assert not told, f"pytest --update-golden accepts this:\n{told}"


@settings(max_examples=25, deadline=None)
@given(SNAPSHOTS)
def test_equal_snapshots_give_equal_files(snapshot: Snapshot) -> None:
    """The files depend on what a snapshot holds and not on the order in which it holds it."""
    again = replace(
        snapshot,
        models=snapshot.models[::-1],
        routes=snapshot.routes[::-1],
        tenants=snapshot.tenants[::-1],
    )
    assert render(snapshot, FRONT) == render(again, FRONT)


@settings(max_examples=25, deadline=None)
@given(st.lists(SNAPSHOTS, min_size=1, max_size=4))
def test_what_was_rendered_before_changes_nothing(snapshots: list[Snapshot]) -> None:
    """A series of snapshots with one memory gives the files that each gives without any."""
    memo = Memo()
    for snapshot in snapshots:
        memo.turn()
        assert render(snapshot, FRONT, memo=memo) == render(snapshot, FRONT)


def test_only_the_model_that_changed_is_made_anew() -> None:
    """A text is made once for equal arguments, and forgotten when a rendering does without it."""
    made: list[str] = []

    def make(name: str) -> dict[str, str]:
        made.append(name)
        return {"name": name}

    memo = Memo()
    for names in ("aab", "ab", "bc", "c", "a"):
        memo.turn()
        assert [dumps(memo.text(make, n)) for n in names] == [dumps({"name": n}) for n in names]
    assert made == ["a", "b", "c", "a"]


@settings(max_examples=25, deadline=None)
@given(SNAPSHOTS)
def test_nothing_is_referred_to_before_it_is_there(snapshot: Snapshot) -> None:
    """A file comes after every file whose name it holds, and the bootstrap after all."""
    files = render(snapshot, FRONT)
    names = list(files)
    for place, text in enumerate(files.values()):
        assert not [later for later in names[place + 1 :] if f"{FRONT.folder}/{later}" in text]
    assert names[-1] == BOOTSTRAP


@pytest.mark.parametrize("tls", ["plain", "tls"])
def test_envoy_takes_the_bootstrap(tmp_path: Path, tls: str) -> None:
    """`envoy --mode validate` finds nothing wrong, with a certificate and without one."""
    front = replace(FRONT, folder=str(tmp_path), tls=Tls(str(tmp_path)) if tls == "tls" else None)
    publish(tmp_path, render(SNAPSHOT, front), {})
    if front.tls:
        certificate(tmp_path, "gateway")
    command = [str(binary()), "--mode", "validate", "-c", str(tmp_path / BOOTSTRAP)]
    env = rust.environment()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    """A replica that moves costs one file, a revocation another; a file that goes leaves none."""
    before = render(SNAPSHOT, FRONT)
    assert publish(tmp_path, before, {}) == before.keys()
    first, moved = (
        replace(SNAPSHOT, models=(CHAT, model("Qwen/Qwen3-8B", port), STICKY)) for port in (7, 9)
    )
    publish(tmp_path, render(first, FRONT), published(tmp_path))
    assert publish(tmp_path, render(moved, FRONT), published(tmp_path)) == {"clusters.json"}
    revoked = render(replace(moved, revoked=frozenset()), FRONT)
    assert publish(tmp_path, revoked, published(tmp_path)) == {"modelops.json"}
    publish(tmp_path, {"other.json": ""}, published(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Whoever tries again and again does not fill the folder up."""
    (tmp_path / "routes.json").mkdir()
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            publish(tmp_path, {"routes.json": "{}"}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["routes.json"]


def test_envoy_watches_few_files_however_many_models() -> None:
    """Each file that Envoy follows takes an inotify instance: their number does not grow."""
    many = replace(SNAPSHOT, models=tuple(model(f"m{n}", n + 1) for n in range(300)))
    assert render(many, FRONT).keys() == render(SNAPSHOT, FRONT).keys()
    assert len(render(many, FRONT)) < 10


def test_the_admin_listens_on_loopback_only() -> None:
    """Envoy's admin interface, which can stop it, is not for other pods."""
    said = json.loads(render(SNAPSHOT, FRONT)[BOOTSTRAP])
    assert said["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
