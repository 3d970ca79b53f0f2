-- Reads the `model` of a multipart/form-data body, and leaves the body as it is.
-- It tells `malformed` of everything that two readers could understand differently.

local CHUNK = 65536 -- bytes that are looked through at a time
local MOST_PARTS = 64
local LONGEST_HEAD = 4096 -- bytes of a part's headers
local LONGEST_NAME = 255 -- bytes of a model's name

local function read(body, at, length)
  length = math.min(length, body:length() - at)
  return length > 0 and body:getBytes(at, length) or ""
end

-- Returns where a text stands in the body, at or after `at`.
local function find(body, text, at)
  while at + #text <= body:length() do
    local chunk = read(body, at, CHUNK)
    local found = chunk:find(text, 1, true)
    if found then return at + found - 1 end
    at = at + #chunk - #text + 1
  end
end

-- Returns the boundary that a content type names.
local function boundary_of(content_type)
  local kind, rest = content_type:match("^%s*([%w%-/]+)%s*;%s*(.-)%s*$")
  if not kind or kind:lower() ~= "multipart/form-data" then return nil end
  local name, value = rest:match("^(%w+)=(.*)$")
  if not name or name:lower() ~= "boundary" then return nil end
  value = value:match('^"([^"\\]*)"$') or value
  return value:match("^[%w'()+_,%-./:=?]+$") and #value <= 70 and value or nil
end

-- Returns the value of a parameter and where the next one begins.
local function parameter(text, at)
  local name, from = text:match("^%s*;%s*([%w*-]+)=()", at)
  if not name then return nil end
  local token, after = text:match("^([^%s;\"]+)()", from)
  if token then return name:lower(), token, after end
  if text:sub(from, from) ~= '"' then return nil end
  local close = text:find('["\\]', from + 1)
  while close and text:byte(close) == 92 do close = text:find('["\\]', close + 2) end
  if not close then return nil end
  return name:lower(), text:sub(from + 1, close - 1), close + 1
end

-- Returns the `name` that a Content-Disposition gives; nil where it is not plain.
local function field_of(disposition)
  local at, field = disposition:match("^[Ff][Oo][Rr][Mm]%-[Dd][Aa][Tt][Aa]()"), nil
  while at and not disposition:match("^%s*$", at) do
    local name, value, after = parameter(disposition, at)
    if name == "name" then
      if field then return nil end
      field = value
    end
    at = name and after
  end
  return at and field
end

-- Returns the name of the field that a part's headers speak of; nil where they are not plain.
local function field(head)
  local found
  for line in (head .. "\r\n"):gmatch("(.-)\r\n") do
    local name, value = line:match("^([%w%-]+):%s*(.*)$")
    if not name then return nil end
    if name:lower() == "content-disposition" then
      if found then return nil end
      found = value
    end
  end
  return found and field_of(found)
end

-- Returns the model; nothing and true where the body is malformed.
local function model_of(body, boundary)
  local delimiter = "\r\n--" .. boundary
  if read(body, 0, #delimiter - 2) ~= delimiter:sub(3) then return nil, true end
  local at, model = #delimiter - 2, nil
  for _ = 1, MOST_PARTS do
    local head = read(body, at, LONGEST_HEAD)
    if head:sub(1, 2) == "--" then return model, false end
    local stop = head:find("\r\n\r\n", 1, true)
    local name = stop and head:sub(1, 2) == "\r\n" and field(head:sub(3, stop - 1))
    if not name then return nil, true end
    local start = at + stop + 3
    local close = find(body, delimiter, start)
    if not close then return nil, true end
    if name == "model" then
      if model or close - start > LONGEST_NAME then return nil, true end
      model = read(body, start, close - start)
    end
    at = close + #delimiter
  end
  return nil, true
end

-- Returns the model; nothing and what is wrong where there is none.
local function judged(headers, body)
  local once = headers:getNumValues("content-type") == 1
  local boundary = once and boundary_of(headers:get("content-type"))
  if not boundary or not body then return nil, "malformed" end
  local model, malformed = model_of(body, boundary)
  if malformed then return nil, "malformed" end
  if not model or model == "" then return nil, "nameless" end
  return model
end

function envoy_on_request(handle)
  local body = handle:body() -- other objects must not be taken before: they would not outlive it
  local model, wrong = judged(handle:headers(), body)
  local told = handle:streamInfo()
  if model then told:filterState():set("modelops.model", "envoy.string", model)
  else told:dynamicMetadata():set("modelops", "body", wrong) end
  handle:clearRouteCache()
end
