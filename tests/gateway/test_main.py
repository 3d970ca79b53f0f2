"""The control process's own start: what it says of wrong settings, and how it logs."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from modelops.gateway.main import main
from modelops.gateway.settings import Settings
from modelops.logs import configure

COMMAND = [sys.executable, "-m", "modelops.gateway.main"]
WRONG = {
    "MODELOPS_GATEWAY_PORT": ("none", "correct it and start the gateway again"),
    "MODELOPS_GATEWAY_ON_FAILURE": ("Perhaps", "'Open' or 'Closed'"),
    "MODELOPS_GATEWAY_OIDC": ("{]", "JSON"),
}
WRONG_ADDRESSES = (
    "localhost:6379",
    "http://:geheim@redis:6379",
    "redis://:geheim/x@redis:6379/0",
    "redis://:geheim@",
    "redis://:geheim@redis:99999",
    "redis://:geheim@redis:6379/zero",
    "rediss://:geheim@redis:6379/0?ssl_cert_reqs=geheim",
    "redis://:geheim@redis:6379/0?geheim=1",
)
ISSUER = {"name": "a", "issuer": "https://a", "audiences": ["m"]}
WRONG_ISSUERS = (
    7,
    [7],
    [ISSUER, ISSUER | {"name": "b"}],
    [ISSUER, ISSUER | {"issuer": "https://b"}],
    [ISSUER | {"audiences": []}],
    [ISSUER | {"audience": "m"}],
    [ISSUER | {"models": ["a b"]}],
    [ISSUER | {"jwksUri": "http://a/keys"}],
)


@pytest.mark.parametrize("issuers", WRONG_ISSUERS, ids=str)
def test_issuers_that_make_no_sense_are_refused(
    monkeypatch: pytest.MonkeyPatch, issuers: object
) -> None:
    """Two that cannot be told apart, and whatever would trust too much, end the start."""
    monkeypatch.setenv("MODELOPS_GATEWAY_OIDC", json.dumps(issuers))
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize("variable", WRONG)
def test_a_wrong_setting_is_named_with_what_to_do(variable: str) -> None:
    """It exits with 2 and one line that names the variable, what it is and what to do."""
    value, says = WRONG[variable]
    known = os.environ | {variable: value}
    done = subprocess.run(COMMAND, env=known, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{variable} is {value!r}: ")
    assert says in line


@pytest.mark.parametrize("url", WRONG_ADDRESSES)
def test_a_wrong_address_of_redis_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    """It exits with 2 and one line that tells the form, and nothing of the password."""
    monkeypatch.setenv("MODELOPS_GATEWAY_REDIS_URL", url)
    assert main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("MODELOPS_GATEWAY_REDIS_URL is wrong: ")
    assert "redis://HOST:6379/0" in line
    assert "geheim" not in line


def test_two_passwords_of_redis_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Which of them would count is not to be guessed."""
    (tmp_path / "password").write_text("one")
    monkeypatch.setenv("MODELOPS_GATEWAY_REDIS_FOLDER", str(tmp_path))
    monkeypatch.setenv("MODELOPS_GATEWAY_REDIS_URL", "redis://redis:6379/0")
    assert Settings().redis
    monkeypatch.setenv("MODELOPS_GATEWAY_REDIS_URL", "redis://:two@redis:6379/0")
    with pytest.raises(ValidationError, match="so has the Secret"):
        Settings()


def test_a_log_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the message holds, it stands on one line with time, level and logger."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    try:
        configure("info", "json", "talkative")
        logging.getLogger("gate").warning("two\nlines %s", "and a \x00")
        logging.getLogger("talkative").info("nobody reads this")
    finally:
        root.setLevel(before[0])
        root.handlers[:] = before[1]
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["level"], told["logger"]) == ("WARNING", "gate")
    assert told["message"] == "two\nlines and a \x00"
    assert told["time"]
