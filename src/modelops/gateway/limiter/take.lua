-- Counts one request under all of its limits, or under none when one is used up.
-- KEYS: the limits' addresses. ARGV: pod, lease, length of a window, of a lease, and of the
-- patience with requests in flight (ms), then what, most and share of each limit.
-- Answers 1 or 0, then of each limit what is used and when it is whole again (ms).
local pod, lease = ARGV[1], ARGV[2]
local window, lent, patience = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function argument(number, field)
  return ARGV[5 + (number - 1) * 3 + field]
end

local function standing(number, address)
  if argument(number, 1) == "parallel" then
    redis.call("ZREMRANGEBYSCORE", address, "-inf", now)
    return redis.call("ZCARD", address), patience
  end
  local used = tonumber(redis.call("GET", address) or "0")
  local left = redis.call("PTTL", address)
  if left < 0 then
    left = argument(number, 1) == "requests" and window or 0
  end
  return used, left
end

local function count(number, address)
  local what = argument(number, 1)
  if what == "parallel" then
    redis.call("ZADD", address, now + lent, lease)
    redis.call("PEXPIRE", address, lent)
  elseif what == "requests" then
    local cost = 1
    local share = tonumber(argument(number, 3))
    local pods = address .. ":pods"
    if share > 0 and redis.call("SADD", pods, pod) == 1 then
      cost = cost + share
    end
    redis.call("INCRBY", address, cost)
    if redis.call("PTTL", address) < 0 then
      redis.call("PEXPIRE", address, window)
    end
    if share > 0 then
      redis.call("PEXPIRE", pods, math.max(1, redis.call("PTTL", address)))
    end
  end
end

local passes = 1
local answer = {1}
for number, address in ipairs(KEYS) do
  if standing(number, address) >= tonumber(argument(number, 2)) then
    passes = 0
  end
end
answer[1] = passes
for number, address in ipairs(KEYS) do
  if passes == 1 then
    count(number, address)
  end
end
for number, address in ipairs(KEYS) do
  local used, left = standing(number, address)
  answer[#answer + 1] = used
  answer[#answer + 1] = left
end
return answer
