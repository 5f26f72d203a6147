-- How a job enters its queue. Stands behind jobs.lua in the scripts that push.

-- The job of a ready lane at `place`, whether it was handed out already, its lane's key and number, and its entry; nil where
-- that is not the job `holder`, as after a failover, which may give its stream id to another.
local function undelivered(prefix, holder, place)
  local number, stream_id = string.match(place, '^(%S+) (%S+)$')
  local lane = tonumber(number)
  local key = prefix .. 'ready:' .. (LANES[lane + 1] or '')
  local entry = redis.call('XRANGE', key, stream_id, stream_id)[1]
  local found = entry and fields_of(entry[2], 1)
  if not found or (found.id or derived_id(key, stream_id)) ~= holder then
    return nil
  end
  local pending = redis.pcall('XPENDING', key, 'workers', stream_id, stream_id, 1)
  return found, not pending.err and #pending > 0, key, lane, stream_id
end

-- Enqueues one job. `queue` has the keys later and later_jobs, the channel signal and the prefix of the queue's keys. `push`
-- has lane_key, id, when ('now' | 'after' | 'at'), ms (of the delay or of the Unix time), the packed job, window (ms or 0) and
-- the seen buckets (none without a window: this one, the one before, the one after); with a unique key unique_key, till
-- ('started' | 'finished' | 'time'), unique_ms and conflict ('keep' | 'replace' | 'debounce'). Returns {1 when stored or put in
-- place of a waiting job, else 0; id of the job that stands}.
local function enqueue(queue, push)
  local id, when, ms, window, packed = push.id, push.when, push.ms, push.window, push.packed
  local later, later_jobs, signal, prefix = queue.later, queue.later_jobs, queue.signal, queue.prefix
  local lane_key, till, unique_ms, conflict = push.lane_key, push.till, push.unique_ms, push.conflict
  local unique_key = push.unique_key
  for _, bucket in ipairs(push.seen) do
    if redis.call('SISMEMBER', bucket, id) == 1 then
      return { 0, id }
    end
  end

  local due = now
  if when == 'after' then due = now + ms end
  if when == 'at' then due = ms end

  local is_new, kept_ttl, waiting = true, nil, 0
  local held = unique_key and redis.call('GET', unique_key)
  if held then
    local holder, held_till, place = unique_holder(held)
    local old, is_running, key, lane, stream_id
    if place == 'later' then
      local waiting = redis.call('HGET', later_jobs, holder)
      old = waiting and fields_of(cmsgpack.unpack(waiting), 2)
    else
      old, is_running, key, lane, stream_id = undelivered(prefix, holder, place)
    end
    local can_change = old and not is_running and conflict ~= 'keep'
    if not can_change and (old or held_till == 'time') then
      return { 0, holder }
    end
    is_new = not can_change
    if can_change then
      -- The waiting job takes the new payload and options under its own id; a debounced one waits anew.
      if place == 'later' then
        if conflict == 'replace' then due = tonumber(redis.call('ZSCORE', later, holder)) or due end
        waiting = -redis.call('ZREM', later, holder)
        redis.call('HDEL', later_jobs, holder)
      else
        if conflict == 'replace' then due = now end
        count_left(prefix, lane, redis.call('XDEL', key, stream_id))
      end
      local list = cmsgpack.unpack(packed)
      local job = fields_of(list, 2)
      id, job.id, job.run = holder, holder, old.run
      packed = cmsgpack.pack({ list[1], unpack(list_of(job)) })
      if till == 'time' and conflict == 'replace' then kept_ttl = redis.call('PTTL', unique_key) end
    end
    -- Else the key's job is gone without having freed it: the new one takes it over.
  end

  local place = 'later'
  if due <= now then
    local list = cmsgpack.unpack(packed)
    place = list[1] .. ' ' .. redis.call('XADD', lane_key, '*', unpack(list, 2))
  else
    redis.call('HSET', later_jobs, id, packed)
    waiting = waiting + redis.call('ZADD', later, string.format('%.0f', due), id)
    if redis.call('ZRANGE', later, 0, 0)[1] == id then
      redis.call('PUBLISH', signal, 'due')
    end
  end
  note(prefix, 'later', waiting)
  if unique_key then
    local ttl = till == 'time' and (kept_ttl or unique_ms) or math.max(due - now, 0) + UNIQUE_KEPT
    redis.call('SET', unique_key, id .. ' ' .. till .. ' ' .. place, 'PX', string.format('%.0f', math.max(ttl, 1)))
  end
  -- A change is no job of its own: pushed once more under its key, it changes the waiting job once more.
  if window > 0 and is_new then
    local seen = push.seen[1]
    redis.call('SADD', seen, id)
    -- A key that is used again after its window names a new job: how the one before it ended is not this one's end.
    redis.call('DEL', prefix .. 'job:' .. id)
    redis.call('PEXPIRE', seen, 2 * window)
  end
  return { 1, id }
end

