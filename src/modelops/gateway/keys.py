"""API keys: what one says, how it is signed, and what is remembered of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from pydantic import Field, TypeAdapter

from modelops.gateway.quota import exact
from modelops.gateway.snapshot import AUDIENCE, ISSUER

ALGORITHM: Final = "ES256"
Limit = Annotated[int | None, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One API key without its secret.

    ``rpm`` and ``tpm`` are requests and tokens per minute and ``parallel`` requests at a time;
    None is no limit. ``priority`` is None for that of its tenant. ``created`` and ``expires`` are
    seconds since the epoch.
    """

    id: str
    tenant: str
    models: tuple[str, ...]
    created: int
    expires: Annotated[int, Field(ge=0, lt=2**40)]
    rpm: Limit = None
    tpm: Limit = None
    parallel: Limit = None
    priority: Literal["high", "standard", "low"] | None = None

    @property
    def claims(self) -> dict[str, Any]:
        """What the token says."""
        given = {"rpm": self.rpm, "tpm": self.tpm, "parallel": self.parallel}
        limits = {name: str(most) for name, most in given.items() if most is not None}
        ask = {"ask": "key"} if exact(self.rpm) or self.parallel is not None else {}
        return {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": self.tenant,
            "jti": self.id,
            "iat": self.created,
            "exp": self.expires,
            "models": list(self.models),
            **limits,
            **ask,
            **({"priority": self.priority} if self.priority else {}),
        }

    def expired(self, now: datetime) -> bool:
        """Tell whether the key is past its time."""
        return now.timestamp() >= self.expires

    def text(self) -> str:
        """Return the record as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the record that a text holds; raises ValueError when it holds none."""
        return TypeAdapter(cls).validate_json(text, strict=True)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private key that signs API keys, and its public half that verifies them."""

    jwk: ECKey

    @classmethod
    def generate(cls) -> Self:
        """Return a new key; its id is its thumbprint."""
        made = ECKey.generate_key("P-256", auto_kid=True)
        return cls(made)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key that a private JWK holds; raises ValueError when it holds none."""
        found = ECKey.import_key(json.loads(text))
        if not found.is_private or found.kid is None:
            message = "not a private JWK with a kid"
            raise ValueError(message)
        return cls(found)

    @property
    def id(self) -> str:
        """The key's id, which every token that it signs carries."""
        return str(self.jwk.kid)

    @property
    def private(self) -> str:
        """The private JWK, as JSON: a secret."""
        return json.dumps(self.jwk.as_dict(private=True), sort_keys=True)

    @property
    def public(self) -> Mapping[str, Any]:
        """The public JWK, good for nothing but verifying."""
        return {**self.jwk.as_dict(private=False), "alg": ALGORITHM, "use": "sig"}

    def sign(self, record: KeyRecord) -> str:
        """Return the API key itself, which is told once and kept nowhere."""
        header = {"alg": ALGORITHM, "kid": self.id}
        return jwt.encode(header, record.claims, self.jwk, algorithms=[ALGORITHM])


def verifying(text: str) -> Mapping[str, Any]:
    """Return the public JWK of ours that a text holds; raises ValueError when it holds none.

    Envoy refuses a list of keys as a whole, so that one that it cannot take costs all others.
    """
    try:
        found = ECKey.import_key(json.loads(text))
        fits = found.curve_name == "P-256" and found.kid is not None and not found.is_private
    except (JoseError, TypeError, KeyError, AttributeError) as error:
        message = f"not a public key: {error}"
        raise ValueError(message) from error
    if not fits:
        message = "not a public key on P-256 with a kid"
        raise ValueError(message)
    return {**found.as_dict(private=False), "alg": ALGORITHM, "use": "sig"}
