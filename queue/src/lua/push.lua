#!lua
-- Enqueues one job under an idempotency key, for later, or both.
-- KEYS  the lane's stream, later, later:jobs, then with a window: seen (this bucket, the one before, the one after)
-- ARGV  id, 'now' | 'after' | 'at', ms (of the delay or of the Unix time), window in ms or 0, signal channel, packed job
-- returns 1 when stored, 0 when the id was seen within the window
-- Atomic, so that two pushes under one key store one job, and no delayed job is without its body or its time.
local id, when, ms, window, signal, packed = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]
for bucket = 4, #KEYS do
  if redis.call('SISMEMBER', KEYS[bucket], id) == 1 then
    return 0
  end
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local due = now
if when == 'after' then due = now + ms end
if when == 'at' then due = ms end

if due <= now then
  local job = cmsgpack.unpack(packed)
  redis.call('XADD', KEYS[1], '*', unpack(job, 2))
else
  redis.call('HSET', KEYS[3], id, packed)
  redis.call('ZADD', KEYS[2], string.format('%.0f', due), id)
  if redis.call('ZRANGE', KEYS[2], 0, 0)[1] == id then
    redis.call('PUBLISH', signal, 'due')
  end
end
if window > 0 then
  redis.call('SADD', KEYS[4], id)
  redis.call('PEXPIRE', KEYS[4], 2 * window)
end
return 1
