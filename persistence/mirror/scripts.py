"""The Lua scripts of the mirror. Redis runs each of them as one step, so no two claims can interleave.

A lock's value is "epoch:run-LEG-seq" (`IntentId` in text form).
"""

EVENTS_KEPT = 1000
"""About how many events of a user are kept, for clients that come back with the id of the last one they saw."""

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
local function intent_of(event)
  return string.match(event, '"(%d+%-%u+%-%d+)"')
end
local function show(queue, intent, event)
  for _, other in ipairs(redis.call('LRANGE', queue, 0, -1)) do
    if intent_of(other) == intent then return end
  end
  redis.call('LPUSH', queue, event)
end
local function take_off(queue, is_done)
  for _, event in ipairs(redis.call('LRANGE', queue, 0, -1)) do
    local intent = intent_of(event)
    if intent and is_done(intent) then redis.call('LREM', queue, 0, event) end
  end
end
local function settle(queue, intents)
  local settled = {}
  for _, intent in ipairs(intents) do settled[intent] = true end
  if next(settled) then take_off(queue, function(intent) return settled[intent] end) end
end
local function settle_unless_held(queue, lock, intents)
  local holder, free = held_by(redis.call('GET', lock)), {}
  for _, intent in ipairs(intents) do
    if not (holder and holder.intent == intent) then free[#free + 1] = intent end
  end
  settle(queue, free)
end
local function settle_run(queue, run)
  take_off(queue, function(intent) return string.match(intent, '^%d+') == run end)
end
"""
"""Needs `_HOLDER`. An event is found by its intent id, because another incarnation may have queued it with another
time. Events that name no intent are left alone: `BURY` is for them.
"""

_RANK = """
local function outranks(mine, holder)
  if mine.run ~= holder.run then return mine.run > holder.run end
  if mine.epoch < holder.epoch then return false end
  if mine.leg ~= holder.leg then return mine.leg > holder.leg end
  return mine.seq > holder.seq
end
"""
"""Needs `_HOLDER`."""

FORESEE = (
    _HOLDER
    + _RANK
    + """
local mine, holder = parts(ARGV[1], ARGV[2]), held_by(redis.call('GET', KEYS[1]))
if not holder then return 'granted' end
if holder.intent == mine.intent then return holder.epoch > mine.epoch and 'refused' or 'held_by_me' end
return outranks(mine, holder) and 'granted' or 'refused'
"""
)
"""KEYS lock; ARGV epoch, intent id. What `CLAIM` would answer to a claim of its own; none is made."""

CLAIM = (
    _HOLDER
    + _QUEUE
    + _RANK
    + """
local mine = parts(ARGV[1], ARGV[2])
if not mine then return redis.error_reply('claim needs an epoch and an intent id') end
local holder = held_by(redis.call('GET', KEYS[1]))
local answer = 'granted'
if holder then
  if holder.intent == mine.intent then
    if holder.epoch > mine.epoch then return 'refused' end
    if redis.call('GET', KEYS[4]) ~= ARGV[5] then answer = 'held_by_me' end
  elseif not outranks(mine, holder) then
    return 'refused'
  end
end
local value = ARGV[1] .. ':' .. ARGV[2]
redis.call('SET', KEYS[1], value, 'PX', ARGV[4])
if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('HSET', KEYS[3], 'lock_state', value) end
if answer == 'granted' then redis.call('SET', KEYS[4], ARGV[5], 'PX', ARGV[4]) else redis.call('DEL', KEYS[4]) end
show(KEYS[2], mine.intent, ARGV[3])
return answer
"""
)
"""KEYS lock, queue, runtime, claim; ARGV epoch, intent id, event JSON, lifetime in ms, claim id.

A claim that was granted is granted again when it is repeated under its id, because its answer was lost. Another claim
for the same intent finds the lock held, its maker looks before anything is sent, and from then on so do all others.
"""

LEASE = """
local before, left = redis.call('GET', KEYS[1]), 0
if before and before > ARGV[1] then return 'lost' end
if before and before ~= ARGV[1] then left = redis.call('PTTL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return tostring(left)
"""
"""KEYS lease; ARGV holder, lifetime in ms. Holders are compared as texts: a later one takes the lease over, and learns
for how many ms the earlier one may still act on it. An earlier one has lost it.
"""

ALLOW_ENTRIES = """
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1
"""
"""KEYS bans of entries; ARGV user id, panic id. A later panic keeps its mark."""

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
  redis.call('DEL', KEYS[1], KEYS[3])
  if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HSET', KEYS[2], 'lock_state', '') end
end
return 1
"""
)
"""KEYS lock, runtime, claim; ARGV intent id."""

SETTLE = (
    _HOLDER
    + _QUEUE
    + """
local intents = cjson.decode(ARGV[1])
if ARGV[2] == '1' then settle_unless_held(KEYS[2], KEYS[1], intents) else settle(KEYS[2], intents) end
"""
)
"""KEYS lock, queue; ARGV intent ids as a JSON array, and 1 to leave alone the one that holds the lock."""

SETTLE_RUN = (
    _HOLDER
    + _QUEUE
    + """
settle_run(KEYS[1], ARGV[1])
"""
)
"""KEYS queue; ARGV run id."""

DEAD_KEPT = 1000
"""How many unreadable events are kept for people to look at."""

BURY = f"""
for _, event in ipairs(ARGV) do
  if redis.call('LREM', KEYS[1], 0, event) > 0 then redis.call('LPUSH', KEYS[2], event) end
end
redis.call('LTRIM', KEYS[2], 0, {DEAD_KEPT - 1})
"""
"""KEYS queue, dead events; ARGV events as they are. The second caller finds them gone."""

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
local guard_fields = {'guard_by', 'guard_since', 'guard_confirmed_at'}
local function with_guard(key, fields)
  local found = redis.call('HMGET', key, unpack(guard_fields))
  for i, name in ipairs(guard_fields) do
    if found[i] then fields[name] = found[i] end
  end
  return cjson.encode(fields)
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
    + _HOLDER
    + _QUEUE
    + """
local runtime = cjson.decode(ARGV[4])
local news = differs(KEYS[2], runtime)
if redis.call('HGET', KEYS[2], 'run_id') ~= runtime.run_id then redis.call('HDEL', KEYS[2], unpack(guard_fields)) end
put(KEYS[1], cjson.decode(ARGV[3]))
put(KEYS[2], runtime)
redis.call('PERSIST', KEYS[2])
redis.call('SADD', KEYS[3], ARGV[1])
local orders = cjson.decode(ARGV[5])
settle(KEYS[5], orders.settled)
settle_unless_held(KEYS[5], KEYS[4], orders.failed)
for intent, event in pairs(orders.pending) do show(KEYS[5], intent, event) end
if news then tell(ARGV[2], 'strategy', ARGV[1], with_guard(KEYS[2], runtime)) end
"""
)
"""KEYS strategy, runtime, symbol set, lock, queue; ARGV strategy id, user id, fields of the two hashes and `RunOrders`
as JSON objects.

The event says what the hash says, and there is none if the hash said it before but for the price and its time. The
key of the user's events follows from the arguments, as the price key does below.
"""

END_RUN = (
    _TELL
    + _FIELDS
    + _HOLDER
    + _QUEUE
    + """
local runtime = cjson.decode(ARGV[3])
local news = differs(KEYS[2], runtime)
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[1])
if tonumber(ARGV[4]) > 0 then
  put(KEYS[2], runtime)
  redis.call('EXPIRE', KEYS[2], ARGV[4])
else
  redis.call('DEL', KEYS[2], KEYS[4], KEYS[6])
end
if runtime.run_id then settle_run(KEYS[5], runtime.run_id) end
if news then tell(ARGV[2], 'strategy', ARGV[1], ARGV[3]) end
"""
)
"""KEYS strategy, runtime, symbol set, lock, queue, claim; ARGV strategy id, user id, fields of runtime, seconds to keep
them.

No event of the run stays on the queue, whichever intent holds the lock: nothing more is sent for a run that has ended.
"""

SHOW_GUARDS = (
    _TELL
    + """
for i, key in ipairs(KEYS) do
  local strategy, run, by, at = unpack(cjson.decode(ARGV[i]))
  local seen = redis.call('HMGET', key, 'run_id', 'guard_by', 'user_id')
  if seen[1] == run then
    redis.call('HSET', key, 'guard_by', by, 'guard_confirmed_at', at)
    if seen[2] ~= by then
      redis.call('HSET', key, 'guard_since', at)
      local flat, runtime = redis.call('HGETALL', key), {}
      for n = 1, #flat, 2 do runtime[flat[n]] = flat[n + 1] end
      tell(seen[3], 'strategy', strategy, cjson.encode(runtime))
    end
  end
end
"""
)
"""KEYS runtime, one or more; for each an ARGV: strategy id, run id, who guards, and the instant, as a JSON array of
texts. What is shown of another run stays as it is. The user hears who guards when it changes.
"""

DELETE_STRATEGY = (
    _TELL
    + """
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[4], KEYS[5])
if ARGV[2] ~= '' then tell(ARGV[2], 'deleted', ARGV[1], '{}') end
"""
)
"""KEYS strategy, runtime, symbol set, lock, claim; ARGV strategy id, and the user to tell or an empty text."""

READ_STATUS = """
redis.call('SETRANGE', 'mirror:takes_writes', 0, '')
local found = {}
for _, key in ipairs(KEYS) do
  local runtime = redis.call('HGETALL', key)
  local price, symbol, broker = {}, nil, ''
  for i = 1, #runtime, 2 do
    if runtime[i] == 'symbol' then symbol = runtime[i + 1] end
    if runtime[i] == 'broker' and runtime[i + 1] ~= ARGV[1] then broker = runtime[i + 1] end
  end
  if broker ~= '' then broker = broker .. ':' end
  if symbol then price = redis.call('HGETALL', broker .. 'price:' .. symbol) end
  found[#found + 1] = {runtime, price}
end
return cjson.encode(found)
"""
"""KEYS runtime, one or more; ARGV the first of BROKERS. One JSON text: reading fifty separate replies costs the client
more than all the rest.

A Redis that takes no writes (a full disk, no memory left) still shows what it took last, which is not so any more: the
write of nothing, which makes no key, fails there, and the database is asked instead.

The price key follows from the hash's content, which Redis Cluster would not allow; we run one node.
"""

PUT_PRICE = """
local flat = {}
for name, value in pairs(cjson.decode(ARGV[1])) do
  flat[#flat + 1] = name
  flat[#flat + 1] = value
end
redis.call('HSET', KEYS[1], unpack(flat))
local price, low, high = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local opened, before_high, before_low = string.match(redis.call('HGET', KEYS[2], ARGV[2]) or '', '^(%d+),(%d+),(%d+),')
if opened then
  low, high = math.min(low, tonumber(before_low)), math.max(high, tonumber(before_high))
end
local is_new = redis.call('EXISTS', KEYS[2]) == 0
redis.call('HSET', KEYS[2], ARGV[2], string.format('%s,%d,%d,%s', opened or price, high, low, price))
if is_new then redis.call('EXPIRE', KEYS[2], ARGV[6]) end
"""
"""KEYS price, bars of the day; ARGV fields of the price as a JSON object, minute, price, lowest and highest price of
the minute since the last call, seconds to keep the bars.
"""
