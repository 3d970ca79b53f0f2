"""What `modelops key` makes, on a fake API server."""

import json

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from typer.testing import CliRunner

from controller.fake import FakeApiServer
from modelops.cli.app import app
from modelops.cluster import ApiServer
from modelops.gateway.keys import KeyRecord

EXAMPLE = ("--tenant", "acme", "--models", "llama*", "--rpm", "60", "--tpm", "100000")


class Server(FakeApiServer):
    """The fake API server, which a command may leave and come back to."""

    async def close(self) -> None:
        """Stay."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """What the commands connect to."""
    made = Server()

    async def connect() -> Server:
        return made

    monkeypatch.setattr(ApiServer, "connect", connect)
    return made


def run(*arguments: str) -> str:
    """Return what `modelops key` prints."""
    done = CliRunner().invoke(app, ["key", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def claims(server: Server, token: str) -> dict:
    """Return what a key says, verified as gateways do."""
    maps = (s.manifest.get("data") or {} for s in server.objects.values())
    (public,) = (data["jwk"] for data in maps if "jwk" in data)
    return jwt.decode(token, ECKey.import_key(json.loads(public)), algorithms=["ES256"]).claims


def test_limits_are_what_was_asked_for(server: Server) -> None:
    """Each limit of the command line stands in the token as text, and in the list."""
    token = run("create", *EXAMPLE, "--concurrency", "4", "--priority", "high")
    told = claims(server, token)
    limits = {name: told[name] for name in ("rpm", "tpm", "parallel", "priority", "ask")}
    assert limits == {
        "rpm": "60", "tpm": "100000", "parallel": "4", "priority": "high", "ask": "key"
    }  # fmt: skip
    (row,) = run("list").splitlines()[1:]
    assert row.split()[1:7] == ["acme", "llama*", "60", "100000", "4", "high"]


def test_what_is_not_asked_for_is_not_limited(server: Server) -> None:
    """A key without limits says none, and is asked about by nobody."""
    told = claims(server, run("create", "--tenant", "acme", "--models", "*"))
    assert not {"rpm", "tpm", "parallel", "priority", "ask"} & told.keys()


@pytest.mark.parametrize(
    "wrong", [("--tpm", "0"), ("--concurrency", "-1"), ("--priority", "urgent"), ("--rpm", "many")]
)
def test_a_limit_that_is_none_is_refused(server: Server, wrong: tuple[str, str]) -> None:
    """No key is made for a limit that nobody could hold."""
    done = CliRunner().invoke(app, ["key", "create", "--tenant", "a", "--models", "*", *wrong])
    assert done.exit_code == 2
    assert not server.objects


@pytest.mark.parametrize("subject", ["cluster:system:serviceaccount:team:app", "corp::t7"])
def test_a_subject_or_token_of_another_issuer_is_revoked_and_restored(
    server: Server, subject: str
) -> None:
    """The list shows who is refused; who was not is told so, and what names nobody is refused."""
    assert run("revoke", subject) == run("revoke", subject) == f"{subject} is revoked"
    (row,) = run("list").splitlines()[1:]
    assert row.split() == [subject, "Revoked"]
    assert "taken again" in run("restore", subject)
    assert not server.objects
    for verb, name, code in (("restore", subject, 1), ("revoke", ":", 2), ("revoke", "a:\n", 2)):
        assert CliRunner().invoke(app, ["key", verb, name]).exit_code == code


def test_help_teaches_with_an_example() -> None:
    """`modelops key create --help` shows a command that works."""
    text = " ".join(run("create", "--help").split())
    assert f"modelops key create {' '.join(EXAMPLE)}".replace("llama*", "'llama*'") in text


def test_records_of_earlier_versions_are_read() -> None:
    """A record without the newer fields is one without those limits."""
    old = {"id": "k", "tenant": "t", "models": ["*"], "created": 1, "expires": 2, "rpm": None}
    assert KeyRecord.parse(json.dumps(old)) == KeyRecord("k", "t", ("*",), 1, 2)
