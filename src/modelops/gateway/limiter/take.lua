-- Counts one request under all of its limits, or under none when one is used up.
-- KEYS: the limits' addresses. ARGV: pod, lease, length of a window, of its slots, of a lease, and
-- of the patience with requests in flight (ms), then what, most and share of each limit.
-- Answers 1 or 0, then of each limit what is used, when there is room, and when it is whole (ms).
local pod, lease = ARGV[1], ARGV[2]
local length, lent, patience = tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[6])
local minute = window(length, tonumber(ARGV[4]))

local function argument(number, field)
  return ARGV[6 + (number - 1) * 3 + field]
end

local function standing(number, address)
  if argument(number, 1) == "parallel" then
    redis.call("ZREMRANGEBYSCORE", address, "-inf", now)
    return redis.call("ZCARD", address), patience, patience
  end
  return minute.standing(address, tonumber(argument(number, 2)))
end

-- Returns what a pod has passed unasked, once a minute.
local function unasked(address, share)
  local pods = address .. ":pods"
  local last = share > 0 and tonumber(redis.call("ZSCORE", pods, pod) or "0")
  if not last or last + length > now then
    return 0
  end
  redis.call("ZADD", pods, now, pod)
  redis.call("PEXPIRE", pods, length)
  return share
end

local function count(number, address)
  local what = argument(number, 1)
  if what == "parallel" then
    redis.call("ZADD", address, now + lent, lease)
    redis.call("PEXPIRE", address, lent)
  elseif what == "requests" then
    minute.count(address, 1 + unasked(address, tonumber(argument(number, 3))))
  end
end

local passes = 1
for number, address in ipairs(KEYS) do
  if standing(number, address) >= tonumber(argument(number, 2)) then
    passes = 0
  end
end
for number, address in ipairs(KEYS) do
  if passes == 1 then
    count(number, address)
  end
end
local answer = {passes}
for number, address in ipairs(KEYS) do
  for _, told in ipairs({standing(number, address)}) do
    answer[#answer + 1] = told
  end
end
return answer
