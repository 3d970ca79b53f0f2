"""The Lua that some routes have Envoy run; it stands beside this module, one file a filter."""

from importlib.resources import files

from modelops.gateway.typed import FILTERS, Json, extension, typed

LUA = f"{FILTERS}.lua.v3"


def scripted(name: str, script: str) -> Json:
    """Return a filter that does nothing but on routes that ask for its script, by `run`."""
    text = files("modelops.gateway").joinpath(f"{script}.lua").read_text()
    return extension(name, f"{LUA}.Lua", source_codes={name: {"inline_string": text}})


def run(name: str, **context: str) -> Json:
    """Return the part of a route that has such a filter run, with what the script may ask."""
    asked = {"filter_context": context} if context else {}
    return {name: typed(f"{LUA}.LuaPerRoute", name=name, **asked)}
