"""What holds for every runtime that the platform offers."""

import re

import pytest

from modelops.api.kinds import KINDS
from modelops.builders.tools import BUILDERS
from modelops.runtimes.engines import RUNTIMES
from modelops.runtimes.runtime import Runtime

every_runtime = pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=lambda r: str(r.name))


@every_runtime
def test_a_runtime_is_complete(runtime: Runtime) -> None:
    """It serves kinds that exist, has an image and requests for each device it runs on."""
    assert runtime.kinds <= KINDS.keys()
    assert runtime.kinds
    assert runtime.images
    assert set(runtime.cpu) == set(runtime.memory) == set(runtime.images)
    assert runtime.health_path.startswith("/")
    assert runtime.description.endswith(".")


@every_runtime
def test_hints_are_patterns_with_a_next_action(runtime: Runtime) -> None:
    """Every hint compiles, has a stable reason, and says what to do."""
    for hint in runtime.hints:
        re.compile(hint.pattern)
        assert re.fullmatch(r"[A-Z][A-Za-z]+", hint.reason)
        assert hint.message
        assert hint.action


def test_every_kind_has_a_runtime() -> None:
    """No kind is offered that nothing serves."""
    served = {kind for runtime in RUNTIMES.values() for kind in runtime.kinds}
    assert served >= KINDS.keys()


def test_what_is_built_is_read() -> None:
    """Each kind that a builder makes weights for has a runtime that reads their format."""
    for builder in BUILDERS.values():
        for kind in builder.kinds:
            reading = [r for r in RUNTIMES.values() if kind in r.kinds]
            assert any(builder.format in runtime.formats for runtime in reading)
