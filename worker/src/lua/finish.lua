#!lua flags=allow-oom
-- Finishes a batch of entries: takes them out of their lanes, moves those that go on, and keeps their outcomes.
-- KEYS  alive, control, done, later, later:jobs, dead, dead:jobs, lanes (high, normal, low, suspect)
-- ARGV  consumer, number of this finish, group, signal channel, most dead jobs kept, ms for which dead jobs are kept,
--       pack (the outcomes one after another), its number of outcomes, ends (where in the pack the outcome of each
--       entry ends, by commas), job ids by commas where the finish must be careful, else empty,
--       number of entries in each of the four lanes, their ids in the order of the lanes,
--       then per move: index of its entry, 'ready' | 'later' | 'dead', job id, lane number or delay in ms, packed job
-- returns 'OK', or 'FENCED' when the consumer is not alive
-- Atomic, so that a job is at every moment in exactly one place, and an outcome exists only for what this finish
-- removed. Repeating a finish whose reply was lost changes nothing: its number is not above the last one applied.
-- Careful is a finish of entries that were read before the server changed: a promoted replica may have given their
-- stream ids to other jobs, so owner and job id must match, or the entry counts as gone.
local GROUP, MOVE_SIZE = ARGV[3], 5
local alive, control, done, later, later_jobs, dead, dead_jobs = unpack(KEYS, 1, 7)
if redis.call('HEXISTS', alive, ARGV[1]) == 0 then
  return redis.status_reply('FENCED')
end
local applied = ARGV[1] .. ':fin'
if tonumber(ARGV[2]) <= tonumber(redis.call('HGET', alive, applied) or '0') then
  return redis.status_reply('OK')
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- `missing` holds the indexes of entries that someone else removed; it stays nil as long as there are none.
local missing
local first_id, careful = 15, ARGV[10] ~= ''
local job_ids = {}
for job_id in string.gmatch(ARGV[10], '[^,]+') do
  job_ids[#job_ids + 1] = job_id
end
local next_id = first_id

local function is_still_ours(lane_key, id, job_id)
  if #redis.call('XPENDING', lane_key, GROUP, id, id, 1, ARGV[1]) == 0 then
    return false
  end
  local entry = redis.call('XRANGE', lane_key, id, id)[1]
  local fields = entry and entry[2] or {}
  for f = 1, #fields, 2 do
    if fields[f] == 'id' then
      return fields[f + 1] == job_id
    end
  end
  return entry ~= nil
end

for lane = 1, 4 do
  local count = tonumber(ARGV[10 + lane])
  if count > 0 and careful then
    missing = missing or {}
    for i = next_id, next_id + count - 1 do
      local index = i - first_id + 1
      if is_still_ours(KEYS[7 + lane], ARGV[i], job_ids[index]) then
        redis.call('XACK', KEYS[7 + lane], GROUP, ARGV[i])
        redis.call('XDEL', KEYS[7 + lane], ARGV[i])
      else
        missing[index] = true
      end
    end
    next_id = next_id + count
  elseif count > 0 then
    local last_id = next_id + count - 1
    local acknowledged = redis.call('XACK', KEYS[7 + lane], GROUP, unpack(ARGV, next_id, last_id))
    if acknowledged == count then
      redis.call('XDEL', KEYS[7 + lane], unpack(ARGV, next_id, last_id))
    else
      missing = missing or {}
      for i = next_id, last_id do
        if redis.call('XDEL', KEYS[7 + lane], ARGV[i]) == 0 then
          missing[i - first_id + 1] = true
        end
      end
    end
    next_id = last_id + 1
  end
end

for i = next_id, #ARGV, MOVE_SIZE do
  local index, where, id, number, packed = unpack(ARGV, i, i + MOVE_SIZE - 1)
  if not (missing and missing[tonumber(index)]) then
    if where == 'ready' then
      local job = cmsgpack.unpack(packed)
      redis.call('XADD', KEYS[8 + tonumber(number)], '*', unpack(job, 2))
    elseif where == 'later' then
      redis.call('HSET', later_jobs, id, packed)
      redis.call('ZADD', later, string.format('%.0f', now + tonumber(number)), id)
      if redis.call('ZRANGE', later, 0, 0)[1] == id then
        redis.call('PUBLISH', ARGV[4], 'due')
      end
    else
      redis.call('HSET', dead_jobs, id, packed)
      redis.call('ZADD', dead, string.format('%.0f', now), id)
      local excess = redis.call('ZCARD', dead) - tonumber(ARGV[5])
      if excess > 0 then
        local oldest = redis.call('ZRANGE', dead, 0, math.min(excess, 100) - 1)
        redis.call('ZREM', dead, unpack(oldest))
        redis.call('HDEL', dead_jobs, unpack(oldest))
      end
      local limit = string.format('%.0f', now - tonumber(ARGV[6]))
      local old = redis.call('ZRANGE', dead, '-inf', limit, 'BYSCORE', 'LIMIT', 0, 100)
      if #old > 0 then
        redis.call('ZREM', dead, unpack(old))
        redis.call('HDEL', dead_jobs, unpack(old))
      end
    end
  end
end

local pack, outcomes = ARGV[7], tonumber(ARGV[8])
if missing then
  local kept, start, index = {}, 1, 0
  outcomes = 0
  for stop in string.gmatch(ARGV[9], '%d+') do
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
    redis.call('HINCRBY', control, 'done:outcomes', -dropped)
    redis.call('HINCRBY', control, 'done:bytes', -#fields[4])
    redis.call('HINCRBY', control, 'done:dropped', dropped)
    excess = excess - dropped
  end
end
redis.call('HSET', alive, applied, ARGV[2])
return redis.status_reply('OK')
