"""The filter that reads the tokens of a stream, also of one whose caller did not ask for them."""

from typing import Final

from modelops.gateway.typed import FILTERS, Json, extension, metadata
from modelops.gateway.usage import STREAM, TOKENS, USAGE_ASKED

NAME: Final = "modelops.streams"
MOST_HELD: Final = 64 * 1024
"""An event that is larger is passed on before it is complete; usage is smaller; bytes."""

MOST_KEPT: Final = 1024 * 1024
"""Usage in an event that is larger is not found; bytes."""

TRUE: Final = r"(?i)true|t|yes|y|on|1|1\.0+"
"""What engines take for true: they are lenient, so a stricter reader could be deceived."""

SCRIPT: Final = r"""
local ADDED = ',"stream_options":{"include_usage":true}'
local TAKES_OPTIONS = {["/v1/chat/completions"] = true, ["/v1/completions"] = true}
local TRUE = {["true"] = true, t = true, yes = true, y = true, on = true, ["1"] = true}

local function metadata(handle, namespace)
  return handle:streamInfo():dynamicMetadata():get(namespace) or {}
end

local function asked(handle)
  local told = metadata(handle, ASKED_IN)[ASKED]
  return told and (TRUE[told:lower()] or told:find("^1%.0+$"))
end

function envoy_on_request(handle)
  local path = handle:headers():get(":path"):match("^[^?]*")
  if not TAKES_OPTIONS[path] or asked(handle) then return end
  local body = handle:body()
  local text = body:getBytes(0, body:length())
  local close = text:match(".*()}")
  body:setBytes(text:sub(1, close - 1) .. ADDED .. text:sub(close))
  handle:streamInfo():dynamicMetadata():set(TOKENS, "added", true)
end

local function number(usage, ...)
  for _, name in ipairs({...}) do
    local found = usage:match('"' .. name .. '"%s*:%s*(%d+)')
    if found then return tonumber(found) end
  end
end

local function tell(handle, usage, began)
  local input = number(usage, "prompt_tokens", "input_tokens")
  if not input then return end
  local output = number(usage, "completion_tokens", "output_tokens") or 0
  local told = handle:streamInfo():dynamicMetadata()
  told:set(TOKENS, "input", input)
  told:set(TOKENS, "output", output)
  told:set(TOKENS, "streamed", true)
  if output > 1 then
    local microseconds = 1000 * (handle:timestamp() - began)
    told:set(TOKENS, "per_token", math.floor(microseconds / (output - 1)))
  end
end

-- Returns what is passed on of the events in `text`, the incomplete one at its end, and how much
-- of that was passed on before; of the first event that was `sent` bytes.
local function sift(handle, text, sent, hide, began)
  local passed, from = {}, 1
  while true do
    local _, last = text:find("\n\r?\n", from)
    if not last then return table.concat(passed), text:sub(from), sent end
    local event = text:sub(from, last)
    local usage = event:match('"usage"%s*:%s*(%b{})')
    if usage then tell(handle, usage, began) end
    local small = sent == 0 and #event <= MOST_HELD
    if not (usage and hide and small and event:find('"choices"%s*:%s*%[%s*%]')) then
      passed[#passed + 1] = event:sub(sent + 1)
    end
    from, sent = last + 1, 0
  end
end

function envoy_on_response(handle)
  local kind = handle:headers():get("content-type") or ""
  if not kind:lower():find("^text/event%-stream") then return end
  local hide = metadata(handle, TOKENS)["added"]
  local held, sent, began = "", 0, nil
  for chunk in handle:bodyChunks() do
    began = began or handle:timestamp()
    local text = chunk:getBytes(0, chunk:length())
    if held ~= "" or not text:find("\n\r?\n$") or text:find('"usage"', 1, true) then
      local passed
      passed, held, sent = sift(handle, held .. text, sent, hide, began)
      if not hide or #held > MOST_HELD or held:find("^data: %[") then
        passed, sent = passed .. held:sub(sent + 1), #held
      end
      if #held > MOST_KEPT then held = held:sub(-3); sent = #held end
      if hide then chunk:setBytes(passed) end
    end
  end
end
"""
"""Quotation marks in a text are written with a backslash before them: no text looks like a key."""

_CONSTANTS: Final = f"""
local TOKENS, ASKED_IN, ASKED = "{TOKENS}", "{USAGE_ASKED[0]}", "{USAGE_ASKED[1]}"
local MOST_HELD, MOST_KEPT = {MOST_HELD}, {MOST_KEPT}
"""


def streams() -> Json:
    """Return the filter; it works on requests for streams and is skipped by all others."""
    code = {"inline_string": _CONSTANTS + SCRIPT}
    lua = extension("lua", f"{FILTERS}.lua.v3.Lua", default_source_code=code)
    kind = "envoy.extensions.common.matching.v3.ExtensionWithMatcher"
    return extension(NAME, kind, extension_config=lua, xds_matcher=_skipped_unless_streamed())


def _skipped_unless_streamed() -> Json:
    inputs = "envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput"
    matchers = "envoy.extensions.matching.input_matchers.metadata.v3.Metadata"
    true = {"string_match": {"safe_regex": {"regex": TRUE}}}
    streamed = {
        "input": extension("stream", inputs, **metadata(*STREAM)),
        "custom_match": extension("true", matchers, value=true),
    }
    skip = extension("skip", "envoy.extensions.filters.common.matcher.action.v3.SkipFilter")
    unless = {"not_matcher": {"single_predicate": streamed}}
    return {"matcher_list": {"matchers": [{"predicate": unless, "on_match": {"action": skip}}]}}
