"""The laws of the operator's settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from modelops.controller.settings import PREFIX, Settings
from modelops.setting import complaint

MAIN = Path(__file__).parents[2] / "operator" / "main.py"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MODELOPS_")]:
        monkeypatch.delenv(name)


def test_nothing_needs_to_be_set() -> None:
    """Every setting has a default."""
    settings = Settings()
    assert settings.namespaces == ()
    assert settings.platform.accelerator is None
    assert settings.platform.cache_size == "50Gi"


def test_lists_and_images_read_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Namespaces are separated by commas; an image's own variable beats the JSON map."""
    monkeypatch.setenv("MODELOPS_NAMESPACES", "a, b,")
    monkeypatch.setenv("MODELOPS_IMAGES", '{"vllm-cpu": "old", "modelops": "m:1"}')
    monkeypatch.setenv("MODELOPS_IMAGE_VLLM_CPU", "new")
    monkeypatch.setenv("MODELOPS_ACCELERATOR", "")
    settings = Settings()
    assert settings.namespaces == ("a", "b")
    assert settings.platform.images == {"vllm-cpu": "new", "modelops": "m:1"}
    assert settings.platform.accelerator is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MODELOPS_WORKERS", "none", "valid integer"),
        ("MODELOPS_WORKERS", "0", "greater than or equal to 1"),
        ("MODELOPS_RESYNC_SECONDS", "-1", "greater than or equal to 1"),
        ("MODELOPS_LOG_FORMAT", "xml", "'json' or 'text'"),
        ("MODELOPS_METRICS_PORT", "70000", "less than or equal to 65535"),
        ("MODELOPS_CACHE_SIZE", "big", "pattern"),
        ("MODELOPS_IMAGES", "[", "not a JSON object"),
        ("MODELOPS_IMAGES", "[]", "not a JSON object"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    """The complaint has the variable, its value and what is wrong with it, in one line."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as raised:
        Settings()
    line = complaint(raised.value, PREFIX, "operator")
    assert line.startswith(f"{name} is {value!r}: ")
    assert says in line
    assert "\n" not in line


def test_the_operator_does_not_start_with_a_wrong_setting() -> None:
    """The exit code is 2, and every wrong variable has its line."""
    wrong = {"MODELOPS_WORKERS": "x", "MODELOPS_HEALTH_PORT": "y"}
    run = subprocess.run(  # noqa: PLW1510  the exit code is the law
        [sys.executable, str(MAIN)], env=os.environ | wrong, capture_output=True, text=True
    )
    assert run.returncode == 2
    assert [line.split()[0] for line in run.stderr.splitlines()] == sorted(wrong, reverse=True)
