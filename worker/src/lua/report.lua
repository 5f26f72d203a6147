#!lua
-- Takes in what a run reports: fields of its job's hash.
-- KEYS  alive, the job's hash
-- ARGV  consumer, run, ms for which the hash lives on, then field, value...
-- returns 'OK', or 'OVER' when the consumer is not alive, a later run was handed out, or the job has ended
-- Atomic, so that no report of a run that is over overwrites what came after it.
local alive, job = KEYS[1], KEYS[2]
local known = redis.call('HMGET', job, 'run', 'state')
local is_stale = known[2] or tonumber(ARGV[2]) < tonumber(known[1] or '0')
if is_stale or redis.call('HEXISTS', alive, ARGV[1]) == 0 then
  return redis.status_reply('OVER')
end
redis.call('HSET', job, 'run', ARGV[2], unpack(ARGV, 4))
redis.call('PEXPIRE', job, ARGV[3])
return redis.status_reply('OK')
