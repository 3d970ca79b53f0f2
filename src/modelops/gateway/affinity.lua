-- Finds the key by which a request keeps to one replica: its session, or its prompt's beginning.
-- Another filter has found the body to be JSON before; here only its end may be cut off.

local LOOKED_AT = 65536 -- bytes of a body in which the key is sought
local BEGINNING = 1024 -- bytes of the first user message, or of a plain prompt, that belong to it

-- Returns where the string that opens at `at` closes.
-- A quote is looked for alone, which is many times faster than a pattern.
local function closing(text, at)
  local found, before = at, nil
  repeat
    found = text:find('"', found + 1, true)
    if not found then return nil end
    before = found - 1
    while text:byte(before) == 92 do before = before - 1 end
  until (found - before) % 2 == 1 -- an even number of backslashes escapes each other
  return found
end

-- Returns the last byte of the value at `at`, or of the text where it is cut off.
local function last_of(text, at)
  local first = text:sub(at, at)
  if first == '"' then return closing(text, at) or #text end
  if first ~= "{" and first ~= "[" then return (text:find("[%s,%]}]", at) or #text + 1) - 1 end
  local depth, found = 0, at
  while found do
    local byte = text:byte(found)
    if byte == 34 then found = closing(text, found) or #text
    elseif byte == 123 or byte == 91 then depth = depth + 1
    else depth = depth - 1 end
    if depth == 0 then return found end
    found = text:find('["%[%]{}]', found + 1)
  end
  return #text
end

-- Visits the members of the object or list at `at`: name, first and last byte of the value.
-- It ends when a visit returns true.
local function each(text, at, visit)
  local named = text:sub(at, at) == "{"
  at = text:match("^[%s,]*()[^%s,%]}]", at + 1)
  while at do
    local name
    if named then
      local close = closing(text, at)
      if not close then return end
      name = text:sub(at + 1, close - 1)
      at = text:match("^%s*:%s*()[^%s]", close + 1)
      if not at then return end
    end
    local last = last_of(text, at)
    if visit(name, at, last) then return end
    at = text:match("^[%s,]*()[^%s,%]}]", last + 1)
  end
end

local function is(text, at, opening)
  return text:sub(at, at) == opening
end

local function utf8(code)
  local char, floor = string.char, math.floor
  if code < 128 then return char(code) end
  if code < 2048 then return char(192 + floor(code / 64), 128 + code % 64) end
  local tail = char(128 + floor(code / 64) % 64, 128 + code % 64)
  if code < 65536 then return char(224 + floor(code / 4096)) .. tail end
  return char(240 + floor(code / 262144), 128 + floor(code / 4096) % 64) .. tail
end

-- Some clients escape what is not ASCII and others do not: their prompts are equal.
local function unescaped(text)
  if not text:find("\\u", 1, true) then return text end
  text = text:gsub("\\u([dD][89abAB]%x%x)\\u([dD][c-fC-F]%x%x)", function(high, low)
    return utf8(65536 + (tonumber(high, 16) - 55296) * 1024 + tonumber(low, 16) - 56320)
  end)
  return (text:gsub("\\u(%x%x%x%x)", function(code) return utf8(tonumber(code, 16)) end))
end

local function string_at(text, at, last)
  return unescaped(text:sub(at + 1, last - 1))
end

-- Returns the text of one part of a message, or of whatever else it is its JSON.
local function part(text, at, last)
  if is(text, at, '"') then return string_at(text, at, last) end
  local found = text:sub(at, last)
  if is(text, at, "{") then
    each(text, at, function(name, at, last)
      if name == "text" and is(text, at, '"') then found = string_at(text, at, last) end
    end)
  end
  return found
end

-- Returns what a string, or a list of strings, parts or tokens, says.
local function said(text, at, last)
  if not is(text, at, "[") then return part(text, at, last) end
  local parts = {}
  each(text, at, function(_, at, last)
    parts[#parts + 1] = part(text, at, last)
    return #parts == BEGINNING
  end)
  return table.concat(parts, "\n")
end

local function beginning(text, at, last)
  return said(text, at, last):sub(1, BEGINNING)
end

-- Returns all up to the first user message, and the beginning of that one.
local function conversation(text, at)
  local parts = {}
  each(text, at, function(_, at)
    local role, first, last
    each(text, at, function(name, from, to)
      if name == "role" then role = string_at(text, from, to)
      elseif name == "content" then first, last = from, to end
    end)
    local read = role == "user" and beginning or said
    parts[#parts + 1] = first and read(text, first, last)
    return role == "user"
  end)
  return table.concat(parts, "\n")
end

-- Returns what an `input` says, which is a string, a list of strings or a conversation.
local function input(text, at, last)
  local messages = text:match("^%[%s*{", at)
  return messages and conversation(text, at) or beginning(text, at, last)
end

local function key_of(text)
  local system, prompt, key = "", "", nil
  each(text, text:find("{", 1, true) or #text, function(name, at, last)
    if name == "messages" and is(text, at, "[") then prompt = conversation(text, at)
    elseif name == "prompt" then prompt = beginning(text, at, last)
    elseif name == "input" then prompt = input(text, at, last)
    elseif name == "instructions" then system = said(text, at, last)
    elseif name == "prompt_cache_key" and is(text, at, '"') then key = text:sub(at, last) end
  end)
  if key then return "key " .. key end
  return system .. prompt ~= "" and "prompt " .. system .. "\n" .. prompt or nil
end

function envoy_on_request(handle)
  local session = handle:headers():get(handle:filterContext():get("session_header"))
  local key = session and session ~= "" and "session " .. session
  if not key then
    local body = handle:body()
    key = body and key_of(body:getBytes(0, math.min(body:length(), LOOKED_AT)))
  end
  if key then
    handle:streamInfo():filterState():set("modelops.affinity", "envoy.hashable_string", key)
    -- Among several models the key decides, too, and one was chosen before it was known.
    if handle:filterContext():get("several") then handle:clearRouteCache() end
  end
end
