#!lua flags=allow-oom
-- Puts pending entries of one consumer back: those of a dead one (each counts a crash), or those that a living one
-- hands back (none does).
-- KEYS  alive, control, done, dead, dead:jobs, cancel, lanes (high, normal, low, suspect)
-- ARGV  consumer, group, number of the lane (0 to 3), 'crashed' | 'back', prefix of the queue's keys, entry id...
-- returns the number of entries taken care of, or -1 when a consumer said to have crashed is alive
-- Atomic, so that a job is never lost between its old entry and the new one, nor in both. Only entries that are pending
-- for this consumer are touched. A job that crashed twice goes to the suspect lane; only from there a crash makes it dead.
-- A job that someone asked to cancel is cancelled instead.
local alive, control, done, dead, dead_jobs, cancel = unpack(KEYS, 1, 6)
local consumer, group, lane, crashed, prefix = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == 'crashed', ARGV[5]
local SUSPECT, CRASHES, FIRST_LANE = 3, 3, 7
local source = KEYS[FIRST_LANE + lane]
if crashed and redis.call('HEXISTS', alive, consumer) == 1 then
  return -1
end
local asked_to_cancel = redis.call('EXISTS', cancel) == 1
local outcomes, buried = {}, 0

local function bury(id, list, reason)
  redis.call('HSET', dead_jobs, id, cmsgpack.pack({ lane, 'error', reason, unpack(list) }))
  buried = buried + redis.call('ZADD', dead, string.format('%.0f', now), id)
end

local function put_back(job)
  local gives_up = crashed and lane == SUSPECT and job.crash >= CRASHES
  local reason = 'the worker process died while the job ran (crash ' .. job.crash .. ')'
  if crashed then
    outcomes[#outcomes + 1] = outcome(job, lane, gives_up and DEAD or CRASHED, reason, consumer, gives_up and job.body)
  end
  job.run = math.min((tonumber(job.run) or 1) + 1, MOST)
  if gives_up then
    bury(job.id, list_of(job), reason)
    unique_ended(prefix, job)
    tell_end(prefix, job, 'dead', reason)
  elseif asked_to_cancel and redis.call('ZSCORE', cancel, job.id) then
    outcomes[#outcomes + 1] = cancelled(prefix, job, lane, consumer)
  else
    local target = job.crash >= CRASHES - 1 and SUSPECT or lane
    if job.crash == 0 then job.crash = nil end
    local entry = redis.call('XADD', KEYS[FIRST_LANE + target], '*', unpack(list_of(job)))
    unique_moved(prefix, job, target .. ' ' .. entry, 0)
  end
end

local touched, left = 0, 0
for i = 6, #ARGV do
  local id = ARGV[i]
  if #redis.call('XPENDING', source, group, id, id, 1, consumer) == 1 then
    touched = touched + 1
    local entry = redis.call('XRANGE', source, id, id)[1]
    if entry then
      local job = fields_of(entry[2], 1)
      if is_job(job) then
        job.id = job.id or derived_id(source, id)
        job.at = job.at or string.match(id, '^%d+')
        job.crash = math.min((tonumber(job.crash) or 0) + (crashed and 1 or 0), MOST)
        put_back(job)
      else
        bury(derived_id(source, id), entry[2], 'the entry is no job')
      end
    end
    redis.call('XACK', source, group, id)
    left = left + redis.call('XDEL', source, id)
  end
end
count_left(prefix, lane, left)
note(prefix, 'dead', buried)
keep(control, done, outcomes)
return touched
