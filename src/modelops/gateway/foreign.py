"""The filter that reads tokens of other issuers as if they were API keys (pure)."""

from importlib.resources import files
from typing import Final

from modelops.gateway.access import CLAIMS, FOREIGN
from modelops.gateway.script import LUA
from modelops.gateway.snapshot import Front, Issuer
from modelops.gateway.typed import Json, extension, metadata, typed

NAME: Final = "modelops.foreign"
SCRIPT: Final = files("modelops.gateway").joinpath("foreign.lua").read_text()
_SKIP: Final = "envoy.extensions.filters.common.matcher.action.v3.SkipFilter"
_COMMON: Final = "envoy.extensions.matching"


def foreign(front: Front) -> list[Json]:
    """Return the filter, or none without other issuers; an API key of ours passes it by."""
    if not front.issuers:
        return []
    script = extension(
        NAME, f"{LUA}.Lua", default_source_code={"inline_string": _preamble(front) + SCRIPT}
    )
    matcher = {"matcher_list": {"matchers": [_ours(front)]}}
    kind = "envoy.extensions.common.matching.v3.ExtensionWithMatcher"
    return [
        {"name": NAME, "typed_config": typed(kind, extension_config=script, xds_matcher=matcher)}
    ]


def _ours(front: Front) -> Json:
    """Return what matches a request with an API key, and has it skip the script."""
    where = metadata(*CLAIMS, "iss")
    told = extension("issuer", f"{_COMMON}.common_inputs.network.v3.DynamicMetadataInput", **where)
    own = extension(
        "own",
        f"{_COMMON}.input_matchers.metadata.v3.Metadata",
        value={"string_match": {"exact": front.issuer}},
    )
    return {
        "predicate": {"single_predicate": {"input": told, "custom_match": own}},
        "on_match": {"action": extension("skip", _SKIP)},
    }


def _preamble(front: Front) -> str:
    named = (("NAMESPACE", CLAIMS[0]), ("OURS", CLAIMS[1]), ("FOREIGN", FOREIGN))
    constants = "".join(f"local {name} = {_text(value)}\n" for name, value in named)
    table = ", ".join(f"[{_text(issuer.url)}] = {_table(issuer)}" for issuer in front.issuers)
    return f"{constants}local issuers = {{{table}}}\n"


def _table(issuer: Issuer) -> str:
    claim = "nil" if issuer.models_claim is None else _text(issuer.models_claim)
    models = ", ".join(_text(model) for model in issuer.models)
    return (
        f"{{name = {_text(issuer.name)}, prefix = {_text(issuer.prefix)}, "
        f"tenant_claim = {_text(issuer.tenant_claim)}, models_claim = {claim}, "
        f"models = {{{models}}}}}"
    )


def _text(value: str) -> str:
    """Return a literal of Lua in which no character of the value can end it."""
    return '"' + "".join(_character(byte) for byte in value.encode()) + '"'


def _character(byte: int) -> str:
    plain = chr(byte)
    return plain if plain.isascii() and (plain.isalnum() or plain in "-_./: *") else f"\\{byte:03d}"
