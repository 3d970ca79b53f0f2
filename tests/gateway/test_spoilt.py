"""What somebody spoilt among the keys that the cluster remembers, and what is forgotten."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from gateway.proxy import Gateway
from gateway.test_access import chat
from gateway.test_control import EXPIRED, RECORD, SYSTEM, Stage
from modelops.gateway.keys import SigningKey
from modelops.gateway.keystore import UnknownKey
from modelops.gateway.observed import public_key, standing

GOOD = SigningKey.generate()


def held(text: str) -> dict:
    """Return the ConfigMap that holds this instead of a public key."""
    return {"metadata": {"name": "signing-key-x"}, "data": {"jwk": text}}


SPOILT = {
    "nothing": "",
    "garbage": "{]",
    "a list": "[]",
    "a number": "7",
    "null": "null",
    "no kind": '{"kid": "x"}',
    "RSA": json.dumps(RSAKey.generate_key(2048, auto_kid=True).as_dict(private=False)),
    "a secret": json.dumps(OctKey.generate_key(256, auto_kid=True).as_dict(private=True)),
    "another curve": json.dumps(ECKey.generate_key("P-384", auto_kid=True).as_dict(private=False)),
    "private": GOOD.private,
    "no id": json.dumps({n: v for n, v in GOOD.public.items() if n != "kid"}),
    "no point": json.dumps({**GOOD.public, "x": "AAAA"}),
    "a number for a point": json.dumps({**GOOD.public, "x": 7}),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_signing_key_is_left_out(kind: str) -> None:
    """What is no public key of ours never reaches Envoy."""
    assert public_key(held(SPOILT[kind])) is None


def test_a_good_signing_key_is_taken_as_it_is() -> None:
    """The public half says to Envoy what it was announced as."""
    assert public_key(held(json.dumps(dict(GOOD.public)))) == GOOD.public


def test_spoilt_keys_cost_others_nothing(front: Gateway) -> None:
    """Envoy takes a list that was made of spoilt keys and a good one, and verifies by that."""
    maps = [held(text) for text in (*SPOILT.values(), json.dumps(dict(front.signing.public)))]
    front.serve(public_keys=tuple(key for key in map(public_key, maps) if key))
    assert chat(front, front.key("*")).status_code == 200


FINE = {"id": "k", "tenant": "t", "models": ["*"], "created": 1, "expires": 2}
SPOILT_RECORDS = (
    *("", "{]", "[]", "null", "7", '{"models": 7}', '{"id": "k"}'),
    *(
        json.dumps(FINE | wrong)
        for wrong in (
            {"expires": "soon"}, {"expires": 2**70}, {"rpm": "60"}, {"rpm": 0}, {"tpm": [1]},
            {"models": "*"}, {"models": [1]}, {"id": "another"}, {"priority": "urgent"},
        )
    ),
)  # fmt: skip


def test_a_record_of_a_newer_version_is_read() -> None:
    """A field that this version does not know spoils nothing."""
    text = json.dumps(FINE | {"new": 1})
    found = standing({"metadata": {"name": "api-key-k"}, "data": {"record": text}})
    assert found.record
    assert not found.revoked


@pytest.mark.parametrize("text", SPOILT_RECORDS)
def test_a_spoilt_record_counts_as_revoked(text: str) -> None:
    """Whatever stands in a record, reading it fails closed and for its own key only."""
    found = standing({"metadata": {"name": "api-key-k"}, "data": {"record": text}})
    assert (found.id, found.record, found.revoked) == ("k", None, True)


async def _pruned(stage: Stage) -> None:
    store = stage.store
    for record in (RECORD, EXPIRED):
        await store.add(record)
    await store.add(type(RECORD)("spoilt", "t", (), 1, 2))
    name = f"{SYSTEM}/api-key-spoilt"
    stage.server.edit("configmaps", name, lambda m: m.update(data={"record": "{}"}))
    assert await store.prune(datetime.now(UTC)) == 1
    assert {s.id for s in await store.list()} == {"k1", "spoilt"}
    assert await store.prune(datetime.now(UTC)) == 0
    assert (await store.signing_key()).id
    with pytest.raises(UnknownKey):
        await store.revoke(EXPIRED.id)
    just = datetime.fromtimestamp(RECORD.expires + 1, UTC)
    assert await store.prune(just) == 0


def test_only_expired_keys_are_forgotten(tmp_path: Path) -> None:
    """Valid keys, spoilt records and signing keys stay; so does what has ended just now."""
    asyncio.run(_pruned(Stage(tmp_path)))
