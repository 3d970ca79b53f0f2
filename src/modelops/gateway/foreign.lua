-- Says of a token of somebody else's issuer what an API key says of itself: whose it is, and which
-- models it names. `issuers` stands before this. Claims that mean something in our keys only, such
-- as limits, are not taken over.

local LONGEST = 255

local function claim(payload, name)
  if payload[name] ~= nil then return payload[name] end
  local found = payload
  for part in name:gmatch("[^/]+") do
    if type(found) ~= "table" then return nil end
    found = found[part]
  end
  return found
end

local function is_name(value)
  return type(value) == "string" and #value > 0 and #value <= LONGEST and not value:find("%c")
end

local function grants(issuer, payload)
  if not issuer.models_claim then return issuer.models end
  local said, found = claim(payload, issuer.models_claim), {}
  if type(said) == "string" then
    for word in said:gmatch("%S+") do found[#found + 1] = word end
  elseif type(said) == "table" then
    for _, word in ipairs(said) do
      if type(word) == "string" then found[#found + 1] = word end
    end
  end
  return found
end

function envoy_on_request(handle)
  local words = handle:streamInfo():dynamicMetadata()
  local payload = (words:get(NAMESPACE) or {})[FOREIGN]
  if not payload then return end
  local issuer = issuers[payload["iss"]]
  local tenant = issuer and claim(payload, issuer.tenant_claim)
  local subject = payload["sub"]
  if not (is_name(tenant) and is_name(subject)) then
    handle:respond({[":status"] = "401"}, "")
    return
  end
  words:set(NAMESPACE, OURS, {
    sub = issuer.prefix .. tenant,
    jti = issuer.name .. ":" .. subject,
    models = grants(issuer, payload)
  })
end
