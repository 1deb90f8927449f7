"""The Lua scripts of the mirror. Redis runs each of them as one step, so no two claims can interleave.

A lock's value is "epoch:run-LEG-seq" (`IntentId` in text form).
"""

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
    + _QUEUE
    + """
for _, event in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  if mentions(event, ARGV[1]) then redis.call('LREM', KEYS[2], 0, event) end
end
local holder = held_by(redis.call('GET', KEYS[1]))
if holder and holder.intent == ARGV[1] then
  redis.call('DEL', KEYS[1])
  if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('HSET', KEYS[3], 'lock_state', '') end
end
return 1
"""
)
"""KEYS lock, queue, runtime; ARGV intent id."""

READ_STATUS = """
local runtime = redis.call('HGETALL', KEYS[1])
local price = {}
for i = 1, #runtime, 2 do
  if runtime[i] == 'symbol' then price = redis.call('HGETALL', 'price:' .. runtime[i + 1]) end
end
return cjson.encode({runtime, price})
"""
"""KEYS runtime. One JSON text, because reading fifty separate replies costs the client more than all the rest.

The price key follows from the hash's content, which Redis Cluster would not allow; we run one node.
"""
