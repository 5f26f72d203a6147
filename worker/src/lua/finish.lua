#!lua flags=allow-oom
-- Finishes a batch of entries: takes them out of their lanes, moves those that go on, and keeps their outcomes.
-- KEYS  alive, control, done, later, later:jobs, dead, dead:jobs, cancel, lanes (high, normal, low, suspect)
-- ARGV  consumer, number of this finish, group, signal channel, prefix of the queue's keys, most dead jobs kept, ms for which
--       dead jobs are kept, pack (the outcomes one after another), its number of outcomes, ends (where in the pack the
--       outcome of each entry ends, by commas), job ids by commas where the finish must be careful, else empty,
--       number of entries in each of the four lanes, their ids in the order of the lanes,
--       then per move: index of its entry, 'ready' | 'later' | 'dead', job id, lane number or delay in ms, packed job;
--       or: index, 'over', job id, '', its unique key or '';
--       or for the job's hash: index, 'report' (if there is one) | 'result' (those who wait are told), job
--       id, ms for which it lives on, packed fields (`state` first where the job has ended)
-- returns 'OK', or 'FENCED' when the consumer is not alive
-- Atomic, so that a job is at every moment in exactly one place, and an outcome exists only for what this finish
-- removed. Repeating a finish whose reply was lost changes nothing: its number is not above the last one applied.
-- A job that someone asked to cancel is cancelled instead of going on.
-- Careful is a finish of entries that were read before the server changed: a promoted replica may have given their
-- stream ids to other jobs, so owner and job id must match, or the entry counts as gone.
local GROUP, MOVE_SIZE, FIRST_LANE = ARGV[3], 5, 9
local alive, control, done, later, later_jobs, dead, dead_jobs, cancel = unpack(KEYS, 1, 8)
local consumer, signal, prefix = ARGV[1], ARGV[4], ARGV[5]
if redis.call('HEXISTS', alive, ARGV[1]) == 0 then
  return redis.status_reply('FENCED')
end
local applied = ARGV[1] .. ':fin'
if tonumber(ARGV[2]) <= tonumber(redis.call('HGET', alive, applied) or '0') then
  return redis.status_reply('OK')
end

-- `missing` holds the indexes of entries that someone else removed; it stays nil as long as there are none.
local missing
local FIRST_ID, careful = 16, ARGV[11] ~= ''
local job_ids = {}
for job_id in string.gmatch(ARGV[11], '[^,]+') do
  job_ids[#job_ids + 1] = job_id
end
local next_id = FIRST_ID

local function is_still_ours(lane_key, id, job_id)
  if #redis.call('XPENDING', lane_key, GROUP, id, id, 1, ARGV[1]) == 0 then
    return false
  end
  local entry = redis.call('XRANGE', lane_key, id, id)[1]
  return entry and (fields_of(entry[2], 1).id or derived_id(lane_key, id)) == job_id
end

for lane = 1, 4 do
  local count, lane_key = tonumber(ARGV[11 + lane]), KEYS[FIRST_LANE - 1 + lane]
  if count > 0 and careful then
    missing = missing or {}
    local left = 0
    for i = next_id, next_id + count - 1 do
      local index = i - FIRST_ID + 1
      if is_still_ours(lane_key, ARGV[i], job_ids[index]) then
        redis.call('XACK', lane_key, GROUP, ARGV[i])
        left = left + redis.call('XDEL', lane_key, ARGV[i])
      else
        missing[index] = true
      end
    end
    count_left(prefix, lane - 1, left)
    next_id = next_id + count
  elseif count > 0 then
    local last_id = next_id + count - 1
    local acknowledged = redis.call('XACK', lane_key, GROUP, unpack(ARGV, next_id, last_id))
    if acknowledged == count then
      count_left(prefix, lane - 1, redis.call('XDEL', lane_key, unpack(ARGV, next_id, last_id)))
    else
      missing = missing or {}
      local left = 0
      for i = next_id, last_id do
        local deleted = redis.call('XDEL', lane_key, ARGV[i])
        left = left + deleted
        if deleted == 0 then
          missing[i - FIRST_ID + 1] = true
        end
      end
      count_left(prefix, lane - 1, left)
    end
    next_id = last_id + 1
  end
end

local asked_to_cancel = redis.call('EXISTS', cancel) == 1
local cancellations = {}
-- What is added to `later` and `dead`, less what is taken out.
local delayed, buried = 0, 0

-- Cancels a job that was about to go on, if someone asked for it.
local function is_cancelled(id, packed)
  if not asked_to_cancel or not redis.call('ZSCORE', cancel, id) then
    return false
  end
  local list = cmsgpack.unpack(packed)
  cancellations[#cancellations + 1] = cancelled(prefix, fields_of(list, 2), list[1], consumer)
  return true
end

-- The fields of a packed job if it has a unique key; most have none, so most are not unpacked.
local function unique_job(packed)
  return string.find(packed, '"unique"', 1, true) and fields_of(cmsgpack.unpack(packed), 2)
end

local function to_ready(lane, packed)
  local lane_key = KEYS[FIRST_LANE + tonumber(lane)]
  local entry = redis.call('XADD', lane_key, '*', unpack(cmsgpack.unpack(packed), 2))
  local job = unique_job(packed)
  if job then unique_moved(prefix, job, lane .. ' ' .. entry, 0) end
end

local function to_later(id, delay, packed)
  redis.call('HSET', later_jobs, id, packed)
  delayed = delayed + redis.call('ZADD', later, string.format('%.0f', now + delay), id)
  if redis.call('ZRANGE', later, 0, 0)[1] == id then
    redis.call('PUBLISH', signal, 'due')
  end
  local job = unique_job(packed)
  if job then unique_moved(prefix, job, 'later', delay) end
end

local function forget_dead(ids)
  if #ids > 0 then
    buried = buried - redis.call('ZREM', dead, unpack(ids))
    redis.call('HDEL', dead_jobs, unpack(ids))
  end
end

local function to_dead(id, packed)
  redis.call('HSET', dead_jobs, id, packed)
  buried = buried + redis.call('ZADD', dead, string.format('%.0f', now), id)
  local excess = redis.call('ZCARD', dead) - tonumber(ARGV[6])
  if excess > 0 then
    forget_dead(redis.call('ZRANGE', dead, 0, math.min(excess, 100) - 1))
  end
  local limit = string.format('%.0f', now - tonumber(ARGV[7]))
  forget_dead(redis.call('ZRANGE', dead, '-inf', limit, 'BYSCORE', 'LIMIT', 0, 100))
  local job = unique_job(packed)
  if job then unique_ended(prefix, job) end
end

-- A job that goes on reports no more as this run, unless it was cancelled instead.
local function to_hash(where, id, ms, packed)
  local hash, fields = prefix .. 'job:' .. id, cmsgpack.unpack(packed)
  local has_ended = fields[1] == 'state'
  if where == 'result' or (redis.call('EXISTS', hash) == 1 and (has_ended or redis.call('HEXISTS', hash, 'state') == 0)) then
    redis.call('HSET', hash, unpack(fields))
    if has_ended then redis.call('HDEL', hash, 'checkpoint') end
    redis.call('PEXPIRE', hash, ms)
  end
  if where == 'result' then
    redis.call('PUBLISH', signal, 'done ' .. id)
  end
end

for i = next_id, #ARGV, MOVE_SIZE do
  local index, where, id, number, packed = unpack(ARGV, i, i + MOVE_SIZE - 1)
  if not (missing and missing[tonumber(index)]) then
    if where == 'over' then
      if asked_to_cancel then redis.call('ZREM', cancel, id) end
      local key = prefix .. 'unique:' .. packed
      if packed ~= '' and holds(key, id) then redis.call('DEL', key) end
    elseif where == 'report' or where == 'result' then
      to_hash(where, id, number, packed)
    elseif where == 'dead' then
      to_dead(id, packed)
    elseif not is_cancelled(id, packed) then
      if where == 'ready' then to_ready(number, packed) else to_later(id, tonumber(number), packed) end
    end
  end
end

note(prefix, 'later', delayed)
note(prefix, 'dead', buried)

local pack, outcomes = ARGV[8], tonumber(ARGV[9])
if missing then
  local kept, start, index = {}, 1, 0
  outcomes = 0
  for stop in string.gmatch(ARGV[10], '%d+') do
    index = index + 1
    stop = tonumber(stop)
    if not missing[index] and stop >= start then
      kept[#kept + 1] = string.sub(pack, start, stop)
      outcomes = outcomes + 1
    end
    start = stop + 1
  end
  pack = table.concat(kept)
end
if #cancellations > 0 then
  pack = pack .. table.concat(cancellations)
  outcomes = outcomes + #cancellations
end
if #pack > 0 and redis.call('HEXISTS', control, 'record') == 1 then
  redis.call('XADD', done, '*', 'n', outcomes, 'b', pack)
  redis.call('HINCRBY', control, 'done:bytes', #pack)
  local waiting = redis.call('HINCRBY', control, 'done:outcomes', outcomes)
  local policy = redis.call('HMGET', control, 'done:overflow', 'done:limit')
  local excess = policy[1] == 'drop' and waiting - tonumber(policy[2]) or 0
  -- The newest pack stays, and one finish drops at most ten.
  for _ = 1, 10 do
    local oldest = excess > 0 and redis.call('XRANGE', done, '-', '+', 'COUNT', 2) or {}
    if #oldest < 2 then break end
    local dropped, fields = tonumber(oldest[1][2][2]), oldest[1][2]
    redis.call('XDEL', done, oldest[1][1])
    note(prefix, 'done', 1)
    redis.call('HINCRBY', control, 'done:outcomes', -dropped)
    redis.call('HINCRBY', control, 'done:bytes', -#fields[4])
    redis.call('HINCRBY', control, 'done:dropped', dropped)
    excess = excess - dropped
  end
end
redis.call('HSET', alive, applied, ARGV[2])
return redis.status_reply('OK')
