-- What was used within the last minute, second by second: a hash of amounts by the number of their
-- second. `window.py` does the same in memory and tells why. Stands before the scripts that use it.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function window(length, slot)
  local slots, current = length / slot, math.floor(now / slot)
  local self = {}

  local function ends(number)
    return (number + slots + 1) * slot
  end

  -- Returns what is used, in how long (ms) less than the most will be, and in how long nothing.
  function self.standing(address, most)
    local flat, found, used = redis.call("HGETALL", address), {}, 0
    for field = 1, #flat, 2 do
      local number, amount = tonumber(flat[field]), tonumber(flat[field + 1])
      if number < current - slots or number > current then
        redis.call("HDEL", address, flat[field])
      else
        found[#found + 1] = {number, amount}
        used = used + amount
      end
    end
    table.sort(found, function(one, other) return one[1] < other[1] end)
    local left, last = used, nil
    for _, one in ipairs(found) do
      if left < most then break end
      left, last = left - one[2], one[1]
    end
    local newest = found[#found]
    return used, last and ends(last) - now or 0, newest and ends(newest[1]) - now or 0
  end

  function self.count(address, amount)
    redis.call("HINCRBY", address, current, amount)
    redis.call("PEXPIRE", address, length + slot)
  end

  return self
end
