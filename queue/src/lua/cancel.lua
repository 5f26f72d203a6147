#!lua flags=allow-oom
-- Cancels jobs: those that wait end here, the others are marked, and whoever meets one of them drops it.
-- KEYS  cancel, control, done, later, later:jobs, lanes (high, normal, low, suspect)
-- ARGV  prefix of the queue's keys, signal channel, group, then per job: id, number of its lane or '', id of its entry or ''
-- returns {ended here, marked}
-- Atomic, so that a job is either ended by this or handed out, and an outcome exists only for what this removed.
local cancel, control, done, later, later_jobs = unpack(KEYS, 1, 5)
local prefix, signal, group = ARGV[1], ARGV[2], ARGV[3]
local FIRST_LANE = 6

-- Takes a delayed job or retry out of `later`.
local function take_waiting(id)
  local packed = redis.call('HGET', later_jobs, id)
  if not packed then
    return nil
  end
  note(prefix, 'later', -redis.call('ZREM', later, id))
  redis.call('HDEL', later_jobs, id)
  local list = cmsgpack.unpack(packed)
  return fields_of(list, 2), list[1]
end

-- Takes a job out of its lane unless it was handed out.
local function take_ready(id, lane, entry_id)
  local lane_key = KEYS[FIRST_LANE + tonumber(lane)]
  local entry = redis.call('XRANGE', lane_key, entry_id, entry_id)[1]
  local job = entry and fields_of(entry[2], 1)
  if not job or not is_job(job) or (job.id or derived_id(lane_key, entry_id)) ~= id then
    return nil
  end
  local pending = redis.pcall('XPENDING', lane_key, group, entry_id, entry_id, 1)
  if not pending.err and #pending > 0 then
    return nil
  end
  count_left(prefix, tonumber(lane), redis.call('XDEL', lane_key, entry_id))
  job.id, job.at = id, job.at or string.match(entry_id, '^%d+')
  return job, tonumber(lane)
end

local ended, outcomes, marks = 0, {}, {}
for i = 4, #ARGV, 3 do
  local id, lane, entry_id = unpack(ARGV, i, i + 2)
  local job, from = take_waiting(id)
  if not job and entry_id ~= '' then
    job, from = take_ready(id, lane, entry_id)
  end
  if job then
    ended = ended + 1
    outcomes[#outcomes + 1] = cancelled(prefix, job, from, '')
  else
    marks[#marks + 1] = id
  end
end

if #marks > 0 then
  -- Not older than any entry there is, even if the clock was set back: marks older than all entries are void.
  local mark = now
  for lane = FIRST_LANE, FIRST_LANE + 3 do
    local last = redis.call('XREVRANGE', KEYS[lane], '+', '-', 'COUNT', 1)[1]
    if last then mark = math.max(mark, tonumber(string.match(last[1], '^%d+'))) end
  end
  for _, id in ipairs(marks) do
    redis.call('ZADD', cancel, string.format('%.0f', mark), id)
  end
  redis.call('HSET', control, 'cancel', '1')
  redis.call('PUBLISH', signal, 'cancel')
end
keep(control, done, outcomes)
return { ended, #marks }
