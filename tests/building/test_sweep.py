"""What nothing refers to goes, and nothing else."""

import fcntl
import os
from pathlib import Path

import pytest

from modelops.building.store import MANIFEST, Store
from modelops.building.sweep import Rule, sweep

DAY = 86400
NOW = 10_000 * DAY
OLD, KEPT, YOUNG = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store with an old, a kept and a young artifact, and an old half one."""
    found = Store(tmp_path)
    for name, age in ((OLD, 40), (KEPT, 40), (YOUNG, 1)):
        manifest = tmp_path / name / MANIFEST
        manifest.parent.mkdir()
        manifest.write_text("{}")
        os.utime(manifest, (NOW - age * DAY,) * 2)
    half = tmp_path / ("d" * 64 + ".partial")
    half.mkdir()
    os.utime(half, (NOW - 40 * DAY,) * 2)
    (tmp_path / "lost+found").mkdir()
    return found


def swept(store: Store, *, dry_run: bool = False) -> dict[str, bool]:
    """Return what a sweep finds, and whether it removed that."""
    rule = Rule({KEPT}, 30 * DAY, dry_run)
    return {str(one["artifact"])[0]: bool(one["removed"]) for one in sweep(store, rule, NOW)}


def test_a_dry_run_removes_nothing(store: Store) -> None:
    """It tells what would go and leaves all of it."""
    assert swept(store, dry_run=True) == {"a": False, "d": False}
    assert (store.root / OLD / MANIFEST).is_file()


def test_the_old_that_nothing_refers_to_go(store: Store) -> None:
    """Old artifacts go, whole and half; what is kept, young or a stranger's stays."""
    assert swept(store) == {"a": True, "d": True}
    names = {path.name for path in store.root.iterdir() if not path.name.startswith(".")}
    assert names == {KEPT, YOUNG, "lost+found"}
    assert swept(store) == {}


def test_what_is_being_made_stays(store: Store) -> None:
    """An artifact whose lock somebody holds is left, and that is told."""
    with (store.root / ".locks" / OLD).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert swept(store) == {"a": False, "d": True}
    assert (store.root / OLD / MANIFEST).is_file()
