"""The filter that answers /v1/models inside Envoy: only the models that the key may use."""

from typing import Final

from modelops.gateway.access import CLAIMS
from modelops.gateway.routes import LISTING
from modelops.gateway.typed import FILTERS, Json, extension

SCRIPT: Final = """
local function grants(grant, name)
  if grant:sub(-1) == "*" then return name:sub(1, #grant - 1) == grant:sub(1, -2) end
  return grant == name
end

local function usable(claims, name, tenants)
  if tenants and not tenants[claims["sub"]] then return false end
  for _, grant in ipairs(claims["models"] or {}) do
    if grants(grant, name) then return true end
  end
  return false
end

local function answer(handle, body)
  handle:respond({[":status"] = "200", ["content-type"] = "application/json"}, body)
end

function envoy_on_request(handle)
  local claims = handle:streamInfo():dynamicMetadata():get("%s")["%s"]
  local path = handle:headers():get(":path"):match("^[^?]*")
  local wanted = path:match("^/v1/models/(.+)$")
  local found = {}
  for _, model in ipairs(handle:metadata():get("models") or {}) do
    if usable(claims, model["id"], model["tenants"]) then
      if wanted == model["id"] then return answer(handle, model["json"]) end
      found[#found + 1] = model["json"]
    end
  end
  if not wanted then
    answer(handle, '{"object": "list", "data": [' .. table.concat(found, ", ") .. "]}")
  end
end
"""
"""A model that is not found passes on to the route's own answer, which is a refusal."""


def listing() -> Json:
    """Return the filter; it is off but on the routes that turn it on."""
    script = SCRIPT % CLAIMS
    filter_ = extension(
        LISTING, f"{FILTERS}.lua.v3.Lua", default_source_code={"inline_string": script}
    )
    return {**filter_, "disabled": True}
