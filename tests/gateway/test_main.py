"""The control process's own start: what it says of wrong settings, and how it logs."""

import json
import logging
import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from modelops.gateway.settings import Settings
from modelops.logs import configure

COMMAND = [sys.executable, "-m", "modelops.gateway.main"]
WRONG = {
    "MODELOPS_GATEWAY_PORT": ("none", "correct it and start the gateway again"),
    "MODELOPS_GATEWAY_ON_FAILURE": ("Perhaps", "'Open' or 'Closed'"),
    "MODELOPS_GATEWAY_OIDC": ("{]", "JSON"),
}
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
