#!lua flags=allow-oom
-- Moves due jobs to their lanes, reads the queue's settings, and forgets requests to cancel that can meet nobody any more.
-- KEYS  later, later:jobs, control, done, dead, dead:jobs, cancel, lanes (high, normal, low, suspect)
-- ARGV  most jobs to move, prefix of the queue's keys
-- returns {moved, ms until the next is due or -1, {setting, value, ...}}
-- Atomic, so that a job is never both waiting and ready. Allowed at maxmemory: what moves in leaves elsewhere.
local later, later_jobs, control, done, dead, dead_jobs, cancel = unpack(KEYS, 1, 7)
local FIRST_LANE, prefix = 8, ARGV[2]
local asked_to_cancel = redis.call('EXISTS', cancel) == 1
local cancellations, buried = {}, 0

-- What some other program packed may be anything, and one such job must not keep all others waiting.
local function append(list)
  local lane = type(list) == 'table' and tonumber(list[1]) or -1
  local lane_key = lane >= 0 and KEYS[FIRST_LANE + lane]
  if not lane_key or #list < 3 or #list > 1000 then
    return nil
  end
  local is_appended, entry = pcall(redis.call, 'XADD', lane_key, '*', unpack(list, 2))
  return is_appended and entry or nil
end

local function promote(id, packed)
  local is_packed, list = pcall(cmsgpack.unpack, packed)
  if asked_to_cancel and is_packed and type(list) == 'table' and redis.call('ZSCORE', cancel, id) then
    cancellations[#cancellations + 1] = cancelled(prefix, fields_of(list, 2), list[1], '')
    return
  end
  local entry = is_packed and append(list)
  if not entry then
    redis.call('HSET', dead_jobs, id, cmsgpack.pack({ 1, 'error', 'what waited is no packed job', 'body', packed }))
    buried = buried + redis.call('ZADD', dead, string.format('%.0f', now), id)
  elseif string.find(packed, '"unique"', 1, true) then
    unique_moved(prefix, fields_of(list, 2), list[1] .. ' ' .. entry, 0)
  end
end

local due = redis.call('ZRANGE', later, '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, tonumber(ARGV[1]))
if #due > 0 then
  local jobs = redis.call('HMGET', later_jobs, unpack(due))
  for i = 1, #due do
    if jobs[i] then promote(due[i], jobs[i]) end
  end
  note(prefix, 'later', -redis.call('ZREM', later, unpack(due)))
  note(prefix, 'dead', buried)
  redis.call('HDEL', later_jobs, unpack(due))
  keep(control, done, cancellations)
end

-- Only an entry that is older than a request can be the one meant: once every lane is past it, the request is void.
if asked_to_cancel then
  local oldest = now
  for lane = FIRST_LANE, FIRST_LANE + 3 do
    local first = redis.call('XRANGE', KEYS[lane], '-', '+', 'COUNT', 1)[1]
    if first then oldest = math.min(oldest, tonumber(string.match(first[1], '^%d+'))) end
  end
  redis.call('ZREMRANGEBYSCORE', cancel, '-inf', '(' .. string.format('%.0f', oldest))
end
if redis.call('EXISTS', cancel) == 0 then
  redis.call('HDEL', control, 'cancel')
end

local wait = -1
local next_due = redis.call('ZRANGE', later, 0, 0, 'WITHSCORES')
if next_due[2] then
  wait = math.max(0, tonumber(next_due[2]) - now)
end
return { #due, wait, redis.call('HGETALL', control) }
