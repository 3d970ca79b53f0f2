-- Counts tokens that were used, and answers which limits are used up now: by whichever pod.
-- KEYS: the set of those, then the limits' addresses. ARGV: length of a window and of its slots
-- (ms), then amount and most of each limit.
local spent = KEYS[1]
local minute = window(tonumber(ARGV[1]), tonumber(ARGV[2]))
for number = 2, #KEYS do
  local address = KEYS[number]
  minute.count(address, ARGV[number * 2 - 1])
  local _, frees = minute.standing(address, tonumber(ARGV[number * 2]))
  if frees > 0 then
    redis.call("ZADD", spent, now + frees, address)
    redis.call("PEXPIRE", spent, ARGV[1] + ARGV[2])
  end
end
redis.call("ZREMRANGEBYSCORE", spent, "-inf", now)
return redis.call("ZRANGE", spent, 0, -1)
