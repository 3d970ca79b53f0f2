"""What all have that tell where weights come from: fields of one meaning, and their rules."""

from typing import Annotated

from pydantic import Field, JsonValue

from modelops.api.base import SecretReference, rule
from modelops.registry.uri import URI_HELP, URI_PATTERN

_URI = URI_PATTERN.replace("\\", "\\\\").replace("'", "\\'")

Endpoint = Annotated[
    str | None,
    Field(
        max_length=1024,
        description="URL of the hub or S3 service, when it is not the public one.",
    ),
]
Credentials = Annotated[
    SecretReference | None,
    Field(
        description="Secret whose keys become environment of the container that fetches the "
        "weights: HF_TOKEN for hf://, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for s3://.",
    ),
]


def source_rules(where: str) -> tuple[dict[str, JsonValue], ...]:
    """Return the CEL rules of an object with uri, revision and endpoint that stands there."""
    return (
        rule(f"self.uri.matches('{_URI}')", URI_HELP),
        rule(
            "!has(self.revision) || self.uri.startsWith('hf://')",
            f"revision is for hf:// sources only: remove {where}.revision",
        ),
        rule(
            "!has(self.revision) || !self.uri.contains('@')",
            f"the revision is given twice: keep it in {where}.revision or after the @ of the uri",
        ),
        rule(
            "!self.uri.startsWith('pvc://') || (!has(self.endpoint) && !has(self.secretRef))",
            f"pvc:// weights are mounted, not fetched: remove {where}.endpoint and secretRef",
        ),
        rule(
            "!has(self.endpoint) || self.endpoint.matches('^https?://[^/\\\\s]+')",
            "endpoint is a URL: write it as https://HOST[:PORT]",
        ),
    )
