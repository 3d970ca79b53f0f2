-- What was used within the last minute, second by second: a hash of amounts by the number of their
-- second. `window.py` does the same in memory and tells why. Stands before the scripts that use it.
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function window(length, slot)
  local slots, current = length / slot, math.floor(now / slot)
  local self, known = {}, {}

  local function ends(number)
    return (number + slots + 1) * slot - now
  end

  local function amounts(address)
    if known[address] then return known[address] end
    local flat, found = redis.call("HGETALL", address), {}
    for field = 1, #flat, 2 do
      local number = tonumber(flat[field])
      if number < current - slots or number > current then
        redis.call("HDEL", address, flat[field])
      else
        found[number] = tonumber(flat[field + 1])
      end
    end
    known[address] = found
    return found
  end

  -- Returns what is used, in how long (ms) less than the most will be, and in how long nothing.
  function self.standing(address, most)
    local found, used, newest = amounts(address), 0, nil
    for number, amount in pairs(found) do
      used = used + amount
      newest = math.max(number, newest or number)
    end
    local left, last = used, nil
    for number = current - slots, current do
      if left < most then break end
      if found[number] then
        left, last = left - found[number], number
      end
    end
    return used, last and ends(last) or 0, newest and ends(newest) or 0
  end

  function self.count(address, amount)
    local found = amounts(address)
    found[current] = (found[current] or 0) + amount
    redis.call("HINCRBY", address, current, amount)
    redis.call("PEXPIRE", address, length + slot)
  end

  return self
end
