"""The Lua scripts of the mirror. Redis runs each of them as one step, so no two claims can interleave.

A lock's value is "epoch:run-LEG-seq" (`IntentId` in text form).
"""

EVENTS_KEPT = 1000
"""About so many events of a user are kept for those who come back with the id of the last one they saw."""

EVENTS_KEEP_SECONDS = 86_400
"""How long a user's events outlive the last of them."""

WAKE_CHANNEL = "events"
"""Where the id of a user who has news is published."""

_HOLDER = """
local function parts(epoch, intent)
  local run, leg, seq = string.match(intent, '^(%d+)%-(%a+)%-(%d+)$')
  if not run then return nil end
  return {run = tonumber(run), epoch = tonumber(epoch), leg = (leg == 'EXIT') and 2 or 1, seq = tonumber(seq),
          intent = intent}
end
local function held_by(value)
  if not value then return nil end
  local epoch, intent = string.match(value, '^(%d+):(.+)$')
  return epoch and parts(epoch, intent) or nil
end
"""

_QUEUE = """
local function mentions(event, intent)
  return string.find(event, '"' .. intent .. '"', 1, true) ~= nil
end
"""

CLAIM = (
    _HOLDER
    + _QUEUE
    + """
local function outranks(mine, holder)
  if mine.run ~= holder.run then return mine.run > holder.run end
  if mine.epoch < holder.epoch then return false end
  if mine.leg ~= holder.leg then return mine.leg > holder.leg end
  return mine.seq > holder.seq
end
local mine = parts(ARGV[1], ARGV[2])
if not mine then return redis.error_reply('claim needs an epoch and an intent id') end
local holder = held_by(redis.call('GET', KEYS[1]))
local answer = 'granted'
if holder then
  if holder.intent == mine.intent then
    if holder.epoch > mine.epoch then return 'refused' end
    answer = 'held_by_me'
  elseif not outranks(mine, holder) then
    return 'refused'
  end
end
local value = ARGV[1] .. ':' .. ARGV[2]
redis.call('SET', KEYS[1], value, 'PX', ARGV[4])
if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('HSET', KEYS[3], 'lock_state', value) end
for _, event in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  if mentions(event, mine.intent) then return answer end
end
redis.call('LPUSH', KEYS[2], ARGV[3])
return answer
"""
)
"""KEYS lock, queue, runtime; ARGV epoch, intent id, event JSON, lifetime in ms."""

RENEW = (
    _HOLDER
    + """
local holder = held_by(redis.call('GET', KEYS[1]))
if holder and (holder.intent ~= ARGV[2] or holder.epoch > tonumber(ARGV[1])) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'PX', ARGV[3])
return 1
"""
)
"""KEYS lock; ARGV epoch, intent id, lifetime in ms."""

RELEASE = (
    _HOLDER
    + """
local holder = held_by(redis.call('GET', KEYS[1]))
if holder and holder.intent == ARGV[1] then
  redis.call('DEL', KEYS[1])
  if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'lock_state', '') end
end
return 1
"""
)
"""KEYS lock, runtime; ARGV intent id."""

_SETTLE = (
    _QUEUE
    + """
local function settle(queue, intents)
  if #intents == 0 then return end
  for _, event in ipairs(redis.call('LRANGE', queue, 0, -1)) do
    for _, intent in ipairs(intents) do
      if mentions(event, intent) then redis.call('LREM', queue, 0, event) end
    end
  end
end
"""
)

SETTLE = _SETTLE + "settle(KEYS[1], ARGV)"
"""KEYS queue; ARGV intent ids whose results are recorded."""

REQUEUE = (
    _QUEUE
    + """
for _, event in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  if mentions(event, ARGV[1]) then return 0 end
end
redis.call('LPUSH', KEYS[1], ARGV[2])
return 1
"""
)
"""KEYS queue; ARGV intent id, event JSON. An event that is there already stays as it is."""

BURY = """
if redis.call('LREM', KEYS[1], 0, ARGV[1]) > 0 then redis.call('LPUSH', KEYS[2], ARGV[1]) end
"""
"""KEYS queue, queue of what nobody can read; ARGV the event."""

_TELL = f"""
local function tell(user, event, strategy, state)
  local stream = 'events:' .. user
  redis.call('XADD', stream, 'MAXLEN', '~', {EVENTS_KEPT}, '*', 'event', event, 'strategy_id', strategy, 'state', state)
  redis.call('EXPIRE', stream, {EVENTS_KEEP_SECONDS})
  redis.call('PUBLISH', '{WAKE_CHANNEL}', user)
end
"""

_FIELDS = """
local unseen = {updated_at = true, last_price = true}
local function differs(key, fields)
  for name, value in pairs(fields) do
    if not unseen[name] and redis.call('HGET', key, name) ~= value then return true end
  end
  return false
end
local function put(key, fields)
  local flat = {}
  for name, value in pairs(fields) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  redis.call('HSET', key, unpack(flat))
end
"""

PUT_RUN = (
    _TELL
    + _FIELDS
    + _SETTLE
    + """
local runtime = cjson.decode(ARGV[4])
local news = differs(KEYS[2], runtime)
put(KEYS[1], cjson.decode(ARGV[3]))
put(KEYS[2], runtime)
redis.call('PERSIST', KEYS[2])
redis.call('SADD', KEYS[3], ARGV[1])
settle(KEYS[4], cjson.decode(ARGV[5]))
if news then tell(ARGV[2], 'strategy', ARGV[1], ARGV[4]) end
"""
)
"""KEYS strategy, runtime, symbol set, queue; ARGV strategy id, user id, fields of the two hashes as JSON objects, and
a JSON list of the intents whose results are recorded.

The event says what the hash says, and there is none if the hash said it before but for the price and its time. The
key of the user's events follows from the arguments, as the price key does below.
"""

END_RUN = (
    _TELL
    + _FIELDS
    + _SETTLE
    + """
local runtime = cjson.decode(ARGV[3])
local news = differs(KEYS[2], runtime)
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[1])
if tonumber(ARGV[4]) > 0 then
  put(KEYS[2], runtime)
  redis.call('EXPIRE', KEYS[2], ARGV[4])
else
  redis.call('DEL', KEYS[2], KEYS[4])
end
settle(KEYS[5], cjson.decode(ARGV[5]))
if news then tell(ARGV[2], 'strategy', ARGV[1], ARGV[3]) end
"""
)
"""KEYS strategy, runtime, symbol set, lock, queue; ARGV strategy id, user id, fields of runtime, seconds to keep them,
and a JSON list of the run's intents.
"""

DELETE_STRATEGY = (
    _TELL
    + """
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[4])
if ARGV[2] ~= '' then tell(ARGV[2], 'deleted', ARGV[1], '{}') end
"""
)
"""KEYS strategy, runtime, symbol set, lock; ARGV strategy id, and the user to tell or an empty text."""

READ_STATUS = """
local found = {}
for _, key in ipairs(KEYS) do
  local runtime = redis.call('HGETALL', key)
  local price = {}
  for i = 1, #runtime, 2 do
    if runtime[i] == 'symbol' then price = redis.call('HGETALL', 'price:' .. runtime[i + 1]) end
  end
  found[#found + 1] = {runtime, price}
end
return cjson.encode(found)
"""
"""KEYS runtime, one or more. One JSON text: reading fifty separate replies costs the client more than all the rest.

The price key follows from the hash's content, which Redis Cluster would not allow; we run one node.
"""
