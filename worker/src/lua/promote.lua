#!lua flags=allow-oom
-- Moves due jobs to their lanes, and reads the queue's settings.
-- KEYS  later, later:jobs, control, lanes (high, normal, low, suspect)
-- ARGV  most jobs to move
-- returns {moved, ms until the next is due or -1, {setting, value, ...}}
-- Atomic, so that a job is never both waiting and ready. Allowed at maxmemory: what moves in leaves elsewhere.
local later, later_jobs, control = KEYS[1], KEYS[2], KEYS[3]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local due = redis.call('ZRANGE', later, '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[1]))
if #due > 0 then
  local jobs = redis.call('HMGET', later_jobs, unpack(due))
  for i = 1, #due do
    if jobs[i] then
      local job = cmsgpack.unpack(jobs[i])
      redis.call('XADD', KEYS[4 + job[1]], '*', unpack(job, 2))
    end
  end
  redis.call('ZREM', later, unpack(due))
  redis.call('HDEL', later_jobs, unpack(due))
end
local wait = -1
local next_due = redis.call('ZRANGE', later, 0, 0, 'WITHSCORES')
if next_due[2] then
  wait = math.max(0, tonumber(next_due[2]) - now)
end
return { #due, wait, redis.call('HGETALL', control) }
