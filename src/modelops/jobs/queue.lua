-- All that changes jobs in Redis, each operation as one: KEYS[1] is its name, ARGV what it takes.
-- Keys are made here from what jobs say, so one primary has to hold them all (no Redis Cluster).

local GROUP = "workers"
local LANES = { "high", "normal", "low" }
local WAKES = 64 -- no more workers than this are woken at a time
local MOST_USAGE = 1000000

local function now()
  local time = redis.call("TIME")
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function number(value)
  return tonumber(value or "0") or 0
end

local function job_key(id)
  return "jobs:job:" .. id
end

local function of_model(model, what)
  return "jobs:{" .. model .. "}:" .. what
end

local function fields(id, ...)
  return redis.call("HMGET", job_key(id), ...)
end

local function tell(id)
  redis.call("PUBLISH", "jobs:news:" .. id, "")
end

-- A ticket is an entry of the stream. Tickets that no worker has are as many as jobs that wait, in
-- no order of theirs; a pending one is that of the job that it was taken for.
local function issue(model, stream)
  if redis.call("EXISTS", stream) == 0 then
    redis.call("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
    redis.call("SADD", "jobs:models", model)
  end
  redis.call("XADD", stream, "*", "job", "1")
  local wake = of_model(model, "wake")
  if redis.call("LLEN", wake) < WAKES then
    redis.call("RPUSH", wake, "1")
  end
end

local function draw(stream, consumer)
  local found = redis.call("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", 1, "STREAMS", stream, ">")
  local ticket = found and found[1] and found[1][2][1] and found[1][2][1][1]
  if ticket then
    redis.call("SET", stream .. ":drawn", ticket)
  end
  return ticket
end

local function after(ticket)
  local time, order = ticket:match("(%d+)-(%d+)")
  return time .. "-" .. (order + 1)
end

-- Used tickets go when all before them do: a gap would leave Redis unable to tell the group's lag.
local function void(stream, ticket)
  redis.call("XACK", stream, GROUP, ticket)
  redis.call("HDEL", stream .. ":tickets", ticket)
  local pending = redis.call("XPENDING", stream, GROUP, "-", "+", 1)[1]
  local keep = pending and pending[1] or after(redis.call("GET", stream .. ":drawn"))
  redis.call("XTRIM", stream, "MINID", keep)
end

-- A job stands where its tenant's turn is: each tenant has its own clock of seconds of work, which
-- never lags behind that of the lane.
local function turn(stream, tenant)
  local clock = number(redis.call("GET", stream .. ":clock"))
  return math.max(clock, number(redis.call("HGET", stream .. ":turns", tenant)))
end

local function wait(stream, id, place, seconds, since)
  redis.call("ZADD", stream .. ":waiting", place, id)
  redis.call("ZADD", stream .. ":since", since, id)
  redis.call("INCRBYFLOAT", stream .. ":work", seconds)
end

local function unwait(stream, id, seconds)
  redis.call("ZREM", stream .. ":since", id)
  if redis.call("ZCARD", stream .. ":waiting") == 0 then
    redis.call("DEL", stream .. ":work", stream .. ":turns", stream .. ":clock")
  else
    redis.call("INCRBYFLOAT", stream .. ":work", -seconds)
  end
end

-- Put a job that ran back into the line, at once and in front, or when some time has passed.
local function again(id, model, stream, seconds, ticket, due)
  void(stream, ticket)
  if due then
    redis.call("ZADD", stream .. ":delayed", due, id)
  else
    wait(stream, id, number(redis.call("GET", stream .. ":clock")), seconds, now())
  end
  redis.call("HSET", job_key(id), "state", "queued", "ticket", "")
  issue(model, stream)
  tell(id)
end

local function ended(id, state, tenant, ttl)
  local key = job_key(id)
  redis.call("HSET", key, "state", state, "ended", now(), "ticket", "")
  redis.call("PEXPIRE", key, ttl)
  redis.call("ZREM", "jobs:open:" .. tenant, id)
  if (redis.call("HGET", key, "webhook") or "") ~= "" then
    redis.call("ZADD", "jobs:webhooks", now(), id)
  end
  tell(id)
end

local function stream_of(id)
  local found = fields(id, "model", "lane")
  return found[1] and of_model(found[1], found[2]), found[1]
end

local function free(id)
  local found = fields(id, "model", "seconds")
  local key = of_model(found[1], "running")
  if number(redis.call("INCRBYFLOAT", key, -number(found[2]))) < 0.0001 then
    redis.call("DEL", key)
  end
end

local function failed(id, problem, retriable, terms)
  free(id)
  local stream, model = stream_of(id)
  local found = fields(id, "tenant", "seconds", "ticket", "attempt")
  local failures = redis.call("HINCRBY", job_key(id), "failures", 1)
  redis.call("HSET", job_key(id), "problem", problem)
  if retriable and failures < terms.failures then
    local pause = math.min(60000, terms.pause * 4 ^ (failures - 1))
    again(id, model, stream, number(found[2]), found[3], now() + pause)
    return "queued"
  end
  void(stream, found[3])
  ended(id, "failed", found[1], terms.ttl)
  if retriable then
    redis.call("XADD", of_model(model, "dead"), "MAXLEN", "~", 10000, "*", "id", id,
      "tenant", found[1], "problem", problem, "attempt", found[4])
  end
  return "failed"
end

local function terms_of(argv, from)
  return {
    failures = number(argv[from]), pause = number(argv[from + 1]), ttl = number(argv[from + 2]),
  }
end

-- While Redis was away no worker could say that it lives: nobody has gone before this Redis, by
-- its run, was known for as long as a lease.
local function settled(lease)
  local run = redis.call("INFO", "server"):match("run_id:(%w+)")
  redis.call("SET", "jobs:up:" .. run, now(), "NX", "PX", 86400000)
  return now() - number(redis.call("GET", "jobs:up:" .. run)) >= lease
end

-- Whoever has not said for the time of a lease that he lives has gone.
local function reap(stream, lease, terms)
  if not redis.call("SET", stream .. ":reaped", "1", "NX", "PX", math.ceil(lease / 4)) then
    return
  end
  if not settled(lease) or redis.call("EXISTS", stream) == 0 then
    return
  end
  local lost = redis.call("XAUTOCLAIM", stream, GROUP, "reaper", lease, "0-0", "COUNT", 100, "JUSTID")
  for _, ticket in ipairs(lost[2]) do
    local id = redis.call("HGET", stream .. ":tickets", ticket)
    if id and redis.call("HGET", job_key(id), "ticket") == ticket then
      failed(id, '{"code":"worker_lost","message":"The worker went away."}', true, terms)
    else
      void(stream, ticket)
    end
  end
end

local function promote(stream)
  for _, id in ipairs(redis.call("ZRANGEBYSCORE", stream .. ":delayed", "-inf", now(), "LIMIT", 0, 100)) do
    redis.call("ZREM", stream .. ":delayed", id)
    local seconds = number(fields(id, "seconds")[1])
    wait(stream, id, number(redis.call("GET", stream .. ":clock")), seconds, now())
  end
end

local function workers(model, patience)
  local key = of_model(model, "workers")
  redis.call("ZREMRANGEBYSCORE", key, "-inf", now() - patience)
  return redis.call("ZCARD", key)
end

local function average(stream)
  local count = redis.call("ZCARD", stream .. ":waiting")
  return count > 0 and number(redis.call("GET", stream .. ":work")) / count or 0
end

-- The seconds until a job at a place of a lane begins, as far as one can tell.
local function promise(model, lane, ahead, lease)
  local work = 0
  for _, other in ipairs(LANES) do
    local stream = of_model(model, other)
    if other == lane then
      work = work + ahead * average(stream)
      break
    end
    work = work + number(redis.call("GET", stream .. ":work"))
  end
  local running = number(redis.call("GET", of_model(model, "running")))
  local pace = tonumber(redis.call("GET", of_model(model, "pace")) or "1")
  return pace * (work + running / 2) / math.max(1, workers(model, lease))
end

local function running(id, attempt)
  local found = fields(id, "state", "attempt")
  return found[1] == "running" and found[2] == attempt
end

-- What a second of work, as it was estimated, takes on this model.
local function learn(id, model)
  local found = fields(id, "taken", "seconds")
  local took = (now() - number(found[1])) / 1000 / math.max(0.001, number(found[2]))
  local before = redis.call("GET", of_model(model, "pace"))
  redis.call("SET", of_model(model, "pace"), before and 0.8 * number(before) + 0.2 * took or took)
end

local operations = {}

function operations.submit(id, model, lane, tenant, seconds, order, webhook, idempotency, fingerprint,
    quota, longest, lease, ttl)
  if redis.call("EXISTS", job_key(id)) == 1 then
    return { "known", id }
  end
  local remembered = "jobs:idempotency:" .. tenant .. ":" .. idempotency
  if idempotency ~= "" then
    local found = redis.call("HMGET", remembered, "id", "fingerprint")
    if found[1] and found[2] ~= fingerprint then
      return { "conflict", found[1] }
    elseif found[1] and redis.call("EXISTS", job_key(found[1])) == 1 then
      return { "known", found[1] }
    end
  end
  local open = "jobs:open:" .. tenant
  local stream = of_model(model, lane)
  local place = turn(stream, tenant)
  local ahead = redis.call("ZCOUNT", stream .. ":waiting", "-inf", place)
  local promised = promise(model, lane, ahead, number(lease))
  if number(quota) > 0 and redis.call("ZCARD", open) >= number(quota) then
    return { "quota", tostring(promised) }
  end
  if number(longest) > 0 and promised > number(longest) then
    return { "busy", tostring(promised - number(longest)) }
  end
  local created = now()
  redis.call("HSET", job_key(id), "order", order, "state", "queued", "model", model, "lane", lane,
    "tenant", tenant, "seconds", seconds, "webhook", webhook, "created", created, "attempt", 0)
  redis.call("ZADD", open, created, id)
  redis.call("ZADD", "jobs:tenant:" .. tenant, created, id)
  if idempotency ~= "" then
    redis.call("HSET", remembered, "id", id, "fingerprint", fingerprint)
    redis.call("PEXPIRE", remembered, ttl)
  end
  redis.call("HSET", stream .. ":turns", tenant, place + number(seconds))
  wait(stream, id, place, seconds, created)
  issue(model, stream)
  redis.call("INCR", of_model(model, "submitted"))
  redis.call("PUBLISH", "jobs:come", model)
  return { "new", id }
end

-- What was given to a worker that did not hear of it is given again: each call has its own word.
function operations.take(model, consumer, word, lease, ...)
  local terms = terms_of({ ... }, 1)
  redis.call("ZADD", of_model(model, "workers"), now(), consumer)
  local given = of_model(model, "given:" .. consumer)
  local before = redis.call("HMGET", given, "word", "id", "attempt")
  if before[1] == word and running(before[2], before[3]) then
    return { before[2], redis.call("HGETALL", job_key(before[2])) }
  end
  local next_due = -1
  for _, lane in ipairs(LANES) do
    local stream = of_model(model, lane)
    reap(stream, number(lease), terms)
    promote(stream)
    local due = redis.call("ZRANGE", stream .. ":delayed", 0, 0, "WITHSCORES")[2]
    if due and (next_due < 0 or number(due) < next_due) then
      next_due = number(due)
    end
    local first = redis.call("ZPOPMIN", stream .. ":waiting")
    if first[1] then
      local id = first[1]
      local ticket = draw(stream, consumer)
      if not ticket then
        issue(model, stream)
        ticket = draw(stream, consumer)
      end
      redis.call("LPOP", of_model(model, "wake"))
      local seconds = fields(id, "seconds")[1]
      unwait(stream, id, number(seconds))
      if redis.call("EXISTS", stream .. ":work") == 1 then
        redis.call("SET", stream .. ":clock", first[2])
      end
      redis.call("HSET", stream .. ":tickets", ticket, id)
      redis.call("INCRBYFLOAT", of_model(model, "running"), seconds)
      local attempt = redis.call("HINCRBY", job_key(id), "attempt", 1)
      redis.call("HSET", job_key(id), "state", "running", "ticket", ticket, "percent", 0,
        "stage", "", "taken", now())
      redis.call("HSETNX", job_key(id), "started", now())
      redis.call("HSET", given, "word", word, "id", id, "attempt", attempt)
      redis.call("PEXPIRE", given, lease)
      tell(id)
      return { id, redis.call("HGETALL", job_key(id)) }
    end
  end
  return { "", math.max(-1, next_due < 0 and -1 or next_due - now()) }
end

function operations.beat(id, attempt, consumer, stage, percent, resume)
  if not running(id, attempt) then
    return 0
  end
  local stream, model = stream_of(id)
  redis.call("ZADD", of_model(model, "workers"), now(), consumer)
  redis.call("XCLAIM", stream, GROUP, consumer, 0, fields(id, "ticket")[1], "JUSTID")
  if stage ~= "" then
    redis.call("HSET", job_key(id), "stage", stage, "percent", percent)
    tell(id)
  end
  if resume ~= "" then
    redis.call("HSET", job_key(id), "resume", resume)
  end
  return 1
end

function operations.finish(id, attempt, result, seconds, ttl)
  local found = fields(id, "state", "attempt", "tenant", "ticket", "model", "order")
  if found[1] == "succeeded" and found[2] == attempt then
    return 1
  end
  if not running(id, attempt) then
    return 0
  end
  free(id)
  void((stream_of(id)), found[4])
  redis.call("HSET", job_key(id), "result", result, "percent", 100)
  redis.call("HDEL", job_key(id), "problem")
  learn(id, found[5])
  ended(id, "succeeded", found[3], ttl)
  redis.call("XADD", "jobs:usage", "MAXLEN", "~", MOST_USAGE, "*", "id", id, "tenant", found[3],
    "model", found[5], "attempt", attempt, "seconds", seconds)
  return 1
end

function operations.fail(id, attempt, problem, retriable, ...)
  if not running(id, attempt) then
    return ""
  end
  return failed(id, problem, retriable == "1", terms_of({ ... }, 1))
end

function operations.release(id, attempt)
  if not running(id, attempt) then
    return 0
  end
  free(id)
  local stream, model = stream_of(id)
  local found = fields(id, "seconds", "ticket")
  again(id, model, stream, number(found[1]), found[2], nil)
  return 1
end

function operations.cancel(id, ttl)
  local found = fields(id, "state", "tenant", "seconds", "ticket")
  if found[1] ~= "queued" and found[1] ~= "running" then
    return found[1] or ""
  end
  local stream = stream_of(id)
  if found[1] == "running" then
    free(id)
    void(stream, found[4])
  else
    if redis.call("ZREM", stream .. ":waiting", id) == 1 then
      unwait(stream, id, number(found[3]))
    end
    redis.call("ZREM", stream .. ":delayed", id)
    local ticket = draw(stream, "cancelled")
    if ticket then
      void(stream, ticket)
    end
  end
  ended(id, "cancelled", found[2], ttl)
  return "cancelled"
end

function operations.delete(id)
  local found = fields(id, "state", "tenant")
  if found[1] == "queued" or found[1] == "running" then
    return 0
  end
  redis.call("DEL", job_key(id))
  if found[2] then
    redis.call("ZREM", "jobs:tenant:" .. found[2], id)
    redis.call("ZREM", "jobs:webhooks", id)
  end
  return 1
end

-- A job that failed is begun again since somebody asks for it; its dead letter goes.
function operations.retry(id)
  local found = fields(id, "state", "tenant", "seconds", "created")
  if found[1] ~= "failed" then
    return 0
  end
  local stream, model = stream_of(id)
  local place = turn(stream, found[2])
  redis.call("HDEL", job_key(id), "problem", "ended", "failures", "told")
  redis.call("HSET", job_key(id), "state", "queued", "percent", 0, "stage", "")
  redis.call("PERSIST", job_key(id))
  redis.call("ZADD", "jobs:open:" .. found[2], found[4], id)
  redis.call("ZADD", "jobs:tenant:" .. found[2], found[4], id)
  redis.call("ZREM", "jobs:webhooks", id)
  for _, letter in ipairs(redis.call("XRANGE", of_model(model, "dead"), "-", "+")) do
    if letter[2][2] == id then
      redis.call("XDEL", of_model(model, "dead"), letter[1])
    end
  end
  redis.call("HSET", stream .. ":turns", found[2], place + number(found[3]))
  wait(stream, id, place, number(found[3]), now())
  issue(model, stream)
  tell(id)
  return 1
end

function operations.place(id, lease)
  local found = fields(id, "state", "model", "lane")
  if found[1] ~= "queued" then
    return { -1, "0" }
  end
  local stream = of_model(found[2], found[3])
  local rank = redis.call("ZRANK", stream .. ":waiting", id)
  if not rank then
    return { -1, "0" }
  end
  local before = rank
  for _, other in ipairs(LANES) do
    if other == found[3] then
      break
    end
    before = before + redis.call("ZCARD", of_model(found[2], other) .. ":waiting")
  end
  return { before, tostring(promise(found[2], found[3], rank, number(lease))) }
end

-- Webhooks that are due, each lent to one who tells; he takes it away, or puts it off.
function operations.due(lease, count)
  local found = redis.call("ZRANGEBYSCORE", "jobs:webhooks", "-inf", now(), "LIMIT", 0, count)
  for _, id in ipairs(found) do
    redis.call("ZADD", "jobs:webhooks", now() + number(lease), id)
  end
  return found
end

function operations.told(id, pause)
  if number(pause) < 0 then
    return redis.call("ZREM", "jobs:webhooks", id)
  end
  redis.call("HINCRBY", job_key(id), "told", 1)
  return redis.call("ZADD", "jobs:webhooks", "XX", now() + number(pause), id)
end

function operations.sweep(model, lease, ...)
  for _, lane in ipairs(LANES) do
    local stream = of_model(model, lane)
    reap(stream, number(lease), terms_of({ ... }, 1))
    promote(stream)
  end
end

function operations.stats(model, lease)
  local told = { workers(model, number(lease)), redis.call("XLEN", of_model(model, "dead")) }
  for _, lane in ipairs(LANES) do
    local stream = of_model(model, lane)
    local oldest = redis.call("ZRANGE", stream .. ":since", 0, 0, "WITHSCORES")[2]
    table.insert(told, redis.call("ZCARD", stream .. ":waiting"))
    table.insert(told, redis.call("ZCARD", stream .. ":delayed"))
    table.insert(told, redis.call("HLEN", stream .. ":tickets"))
    table.insert(told, oldest and now() - number(oldest) or 0)
  end
  return told
end

-- What waits for a retry counts by the first hundred of it: no Redis shall stop for more.
local function delayed_work(stream)
  local work = 0
  for _, id in ipairs(redis.call("ZRANGE", stream .. ":delayed", 0, 99)) do
    work = work + number(fields(id, "seconds")[1])
  end
  return work
end

local function note_busy(stream, busy)
  if redis.call("EXISTS", stream) == 1 then
    for _, each in ipairs(redis.call("XPENDING", stream, GROUP)[4] or {}) do
      busy[each[1]] = true
    end
  end
end

-- Of each model: jobs that wait, for a retry too, and that run; jobs so far; the seconds of work
-- that is left; the workers that have any.
function operations.backlogs(...)
  local told = {}
  for _, model in ipairs({ ... }) do
    local waiting, running, busy = 0, 0, {}
    local work = number(redis.call("GET", of_model(model, "running"))) / 2
    for _, lane in ipairs(LANES) do
      local stream = of_model(model, lane)
      waiting = waiting + redis.call("ZCARD", stream .. ":waiting") + redis.call("ZCARD", stream .. ":delayed")
      running = running + redis.call("HLEN", stream .. ":tickets")
      work = work + number(redis.call("GET", stream .. ":work")) + delayed_work(stream)
      note_busy(stream, busy)
    end
    local pace = tonumber(redis.call("GET", of_model(model, "pace")) or "1")
    local names = {}
    for name in pairs(busy) do
      table.insert(names, name)
    end
    table.insert(told, { waiting, running, number(redis.call("GET", of_model(model, "submitted"))),
      tostring(pace * work), names })
  end
  return told
end

return operations[KEYS[1]](unpack(ARGV))
