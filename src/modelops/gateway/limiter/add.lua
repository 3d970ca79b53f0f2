-- Counts tokens that were used, and answers which limits are used up now: by whichever pod.
-- KEYS: the set of those, then the limits' addresses. ARGV: length of a window (ms), then amount
-- and most of each limit.
local spent = KEYS[1]
local window = tonumber(ARGV[1])
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for number = 2, #KEYS do
  local address = KEYS[number]
  local used = redis.call("INCRBY", address, ARGV[number * 2 - 2])
  local left = redis.call("PTTL", address)
  if left < 0 then
    left = window
    redis.call("PEXPIRE", address, window)
  end
  if used >= tonumber(ARGV[number * 2 - 1]) then
    redis.call("ZADD", spent, now + left, address)
    redis.call("PEXPIRE", spent, window)
  end
end
redis.call("ZREMRANGEBYSCORE", spent, "-inf", now)
return redis.call("ZRANGE", spent, 0, -1)
