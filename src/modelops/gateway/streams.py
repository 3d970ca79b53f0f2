"""The filter that reads the tokens of streams, also of those whose callers did not ask for them.

It reads embeddings too: their answers are too large to be kept until they are complete.
"""

from typing import Final

from modelops.gateway.typed import FILTERS, Json, extension, metadata
from modelops.gateway.usage import STREAM, TOKENS, USAGE_ASKED, response_rules

NAME: Final = "modelops.streams"
ANSWERS: Final = "modelops.answers"
MOST_HELD: Final = 64 * 1024
"""An event that is larger is passed on before it is complete; usage is smaller; bytes."""

MOST_KEPT: Final = 1024 * 1024
"""Usage in an event that is larger is not found; bytes."""

LENGTH_OF_END: Final = 4096
"""So much of the end of embeddings is looked through for their usage; bytes."""

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
  if body:length() + #ADDED > LARGEST_BODY then return end
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
  if not began then return end
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

local function read_end(handle)
  local last = ""
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    local from = math.max(0, length - LENGTH_OF_END)
    last = (last .. chunk:getBytes(from, length - from)):sub(-LENGTH_OF_END)
  end
  local usage = last:match('"usage"%s*:%s*(%b{})')
  if usage then tell(handle, usage) end
end

function envoy_on_response(handle)
  local kind = handle:headers():get("content-type") or ""
  if not kind:lower():find("^text/event%-stream") then return read_end(handle) end
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
local MOST_HELD, MOST_KEPT, LENGTH_OF_END = {MOST_HELD}, {MOST_KEPT}, {LENGTH_OF_END}
"""


def streams(largest_body: int) -> Json:
    """Return the filter; it works on streams and embeddings and is skipped by all others.

    A request that has no room left for what is added, in bytes, stays as it is.
    """
    code = {"inline_string": f"local LARGEST_BODY = {largest_body}\n{_CONSTANTS}{SCRIPT}"}
    lua = extension("lua", f"{FILTERS}.lua.v3.Lua", default_source_code=code)
    either = {"or_matcher": {"predicate": [_streamed(), _embeddings()]}}
    return _skipped_where(NAME, lua, {"not_matcher": either})


def answers_in_json() -> Json:
    """Return the filter that reads the tokens of answers in JSON, after they are complete."""
    kind = f"{FILTERS}.json_to_metadata.v3.JsonToMetadata"
    reader = extension("json", kind, response_rules=response_rules())
    return _skipped_where(ANSWERS, reader, _embeddings())


def _skipped_where(name: str, filter_: Json, which: Json) -> Json:
    skip = extension("skip", "envoy.extensions.filters.common.matcher.action.v3.SkipFilter")
    matcher = {"matchers": [{"predicate": which, "on_match": {"action": skip}}]}
    kind = "envoy.extensions.common.matching.v3.ExtensionWithMatcher"
    return extension(name, kind, extension_config=filter_, xds_matcher={"matcher_list": matcher})


def _streamed() -> Json:
    inputs = "envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput"
    matchers = "envoy.extensions.matching.input_matchers.metadata.v3.Metadata"
    true = {"string_match": {"safe_regex": {"regex": TRUE}}}
    streamed = {
        "input": extension("stream", inputs, **metadata(*STREAM)),
        "custom_match": extension("true", matchers, value=true),
    }
    return {"single_predicate": streamed}


def _embeddings() -> Json:
    inputs = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
    path = extension("path", inputs, header_name=":path")
    return {"single_predicate": {"input": path, "value_match": {"prefix": "/v1/embeddings"}}}
