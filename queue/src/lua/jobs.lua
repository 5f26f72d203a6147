-- What scripts know of jobs: their fields, outcomes, unique keys, and requests to cancel them. Stands behind the first
-- line of each script that moves or ends jobs. Keys are made of the queue's prefix, so all lie in its slot.
local DEAD, CANCELLED, CRASHED = 2, 3, 6
local FIELDS = { 'kind', 'body', 'id', 'v', 'n', 'run', 'crash', 'at', 'opt', 'tp', 'ct' }
local LANES = { 'high', 'normal', 'low', 'suspect' }
-- For how long a job may stay in one place, after it was due, until its unique key is given up: 7 days in ms.
local UNIQUE_KEPT = 604800000

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- The fields of a list of names and values that begins at `first`, by name.
local function fields_of(list, first)
  local job = {}
  for f = first, #list, 2 do job[list[f]] = list[f + 1] end
  return job
end

-- The fields as XADD takes them, in the documented order.
local function list_of(job)
  local list = {}
  for _, name in ipairs(FIELDS) do
    if job[name] then
      list[#list + 1] = name
      list[#list + 1] = tostring(job[name])
    end
  end
  return list
end

-- The id of an entry that carries none; the same as `derived_id` in the client.
local function derived_id(lane_key, stream_id)
  local hash = redis.sha1hex(lane_key .. ' ' .. stream_id)
  local time = string.format('%012x', tonumber(string.match(stream_id, '^%d+')))
  local variant = string.format('%x', 8 + tonumber(string.sub(hash, 5, 5), 16) % 4)
  return string.sub(time, 1, 8) .. '-' .. string.sub(time, 9) .. '-8' .. string.sub(hash, 2, 4) .. '-' .. variant ..
    string.sub(hash, 6, 8) .. '-' .. string.sub(hash, 9, 20)
end

-- Whether the client can read an entry as a job. What it can't read would make a whole pack of outcomes unreadable.
local X4, MOST = '%x%x%x%x', 4294967295
local UUID = '^' .. X4 .. X4 .. '%-?' .. X4 .. '%-?' .. X4 .. '%-?' .. X4 .. '%-?' .. X4 .. X4 .. X4 .. '$'
local function is_job(job)
  for name, digits in pairs({ v = 10, n = 10, run = 10, crash = 10, at = 15 }) do
    local value = job[name] and tostring(job[name])
    if value and (#value > digits or not string.match(value, '^%d+$') or digits == 10 and tonumber(value) > MOST) then
      return false
    end
  end
  return job.kind and job.body and (not job.id or string.match(job.id, UUID)) and true or false
end

-- A member of a job's field `opt`; most jobs have none, so the text is decoded only where it names the member.
local function option(job, name)
  if not job.opt or not string.find(job.opt, '"' .. name .. '"', 1, true) then
    return nil
  end
  local is_json, opt = pcall(cjson.decode, job.opt)
  return is_json and type(opt) == 'table' and opt[name] or nil
end

-- The packed outcome of a run that no worker reports: a MessagePack array of 17 (\220\0\17) whose absent values are nil
-- (\192), which cmsgpack leaves out of tables; of 22 where the job has tags, a trace, or had a life before.
local function outcome(job, lane, state, reason, worker, payload)
  local length, more, tags, of = '\17', '', option(job, 'tags'), option(job, 'of')
  tags = type(tags) == 'table' and #tags > 0 and cjson.encode(tags)
  of = type(of) == 'string' and of
  if tags or job.tp or of then
    length = '\22'
    more = (tags and cmsgpack.pack(tags) or '\192') .. (job.tp and cmsgpack.pack(job.tp) or '\192') .. '\192\192' ..
      (of and cmsgpack.pack(of) or '\192')
  end
  return '\220\0' .. length .. cmsgpack.pack(job.id, job.kind, lane, tonumber(job.v or 1), tonumber(job.run or 1),
    tonumber(job.n or 1), tonumber(job.crash or 0), state, tonumber(job.at or now)) .. '\192' ..
    cmsgpack.pack(clock[1] * 1000000 + clock[2], worker, reason) .. (payload and cmsgpack.pack(payload) or '\192') ..
    (job.ct and cmsgpack.pack(job.ct) or '\192') .. '\192\192' .. more
end

-- Appends outcomes to `done` as one pack, where a recorder has registered.
local function keep(control, done, outcomes)
  if #outcomes > 0 and redis.call('HEXISTS', control, 'record') == 1 then
    local pack = table.concat(outcomes)
    redis.call('XADD', done, '*', 'n', #outcomes, 'b', pack)
    redis.call('HINCRBY', control, 'done:outcomes', #outcomes)
    redis.call('HINCRBY', control, 'done:bytes', #pack)
  end
end

-- Notes in the queue's books how many entries a script has deleted from a lane, by its number, or how many jobs it has added to
-- `later` or `dead` less those it has taken out: what left them otherwise was deleted by someone else. Books that can't be kept,
-- such as a key of another type, must not stop the move half-way.
local function note(prefix, place, count)
  if count ~= 0 then redis.pcall('HINCRBY', prefix .. 'books', place, count) end
end
local function count_left(prefix, lane, count)
  note(prefix, LANES[lane + 1], count)
end

-- The option of a job that has a unique key: { key = digest, until = 'started' | 'finished' | 'time' }; else nil.
local function unique_of(job)
  local unique = option(job, 'unique')
  return type(unique) == 'table' and type(unique.key) == 'string' and unique or nil
end

-- The value of a unique key is `<job id> <until> <place>`, the place `later` or `<lane> <stream id>`.
local function unique_holder(value)
  return string.match(value, '^(%S+) (%S+) (.+)$')
end

-- Whether this job holds a unique key: nobody else frees or moves it.
local function holds(key, id)
  local value = redis.call('GET', key)
  return value and unique_holder(value) == id
end

-- The name of a job's unique key if the job holds it.
local function held_key(prefix, job)
  local unique = unique_of(job)
  local key = unique and prefix .. 'unique:' .. unique.key
  if key and holds(key, job.id) then
    return key, unique['until']
  end
  return nil
end

-- A job with a unique key went to another place, where it waits for `wait` ms: the key goes with it and lives on.
local function unique_moved(prefix, job, place, wait)
  local key, till = held_key(prefix, job)
  if key then
    local value = job.id .. ' ' .. till .. ' ' .. place
    if till == 'time' then
      redis.call('SET', key, value, 'KEEPTTL')
    else
      redis.call('SET', key, value, 'PX', string.format('%.0f', wait + UNIQUE_KEPT))
    end
  end
end

-- A job that was not completed is over: its unique key is free, if it is the one that holds it.
local function unique_ended(prefix, job)
  local key = held_key(prefix, job)
  if key then
    redis.call('DEL', key)
  end
end

-- Tells those who wait for a job's result that it ended without one. A hash of progress is closed the same way.
local RESULT_KEPT = 86400000
local function tell_end(prefix, job, state, reason)
  local kept = tonumber(option(job, 'result_ms'))
  local hash = prefix .. 'job:' .. job.id
  if kept or redis.call('EXISTS', hash) == 1 then
    redis.call('HSET', hash, 'state', state, 'error', reason)
    redis.call('HDEL', hash, 'checkpoint')
    redis.call('PEXPIRE', hash, string.format('%.0f', kept or RESULT_KEPT))
  end
  if kept then
    redis.call('PUBLISH', prefix .. 'signal', 'done ' .. job.id)
  end
end

-- A job that someone asked to cancel ends here instead of moving on; its outcome is that of the run that never starts, none
-- where what was written by hand can't be read as a job.
local function cancelled(prefix, job, lane, worker)
  if not is_job(job) or not job.id then
    return nil
  end
  redis.call('ZREM', prefix .. 'cancel', job.id)
  unique_ended(prefix, job)
  tell_end(prefix, job, 'cancelled', 'cancelled on request')
  return outcome(job, lane, CANCELLED, 'cancelled on request', worker)
end
