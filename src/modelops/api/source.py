"""The rules of what tells where weights come from."""

from pydantic import JsonValue

from modelops.api.base import rule
from modelops.registry.uri import URI_HELP, URI_PATTERN

_URI = URI_PATTERN.replace("\\", "\\\\").replace("'", "\\'")


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
