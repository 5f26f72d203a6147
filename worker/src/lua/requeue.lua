#!lua flags=allow-oom
-- Puts pending entries of one consumer back: those of a dead one (each counts a crash), or those that a living one
-- hands back (none does).
-- KEYS  alive, control, done, dead, dead:jobs, lanes (high, normal, low, suspect)
-- ARGV  consumer, group, number of the lane (0 to 3), 'crashed' | 'back', entry id...
-- returns the number of entries taken care of, or -1 when a consumer said to have crashed is alive
-- Atomic, so that a job is never lost between its old entry and the new one, nor in both. Only entries that are pending
-- for this consumer are touched. A job that crashed twice goes to the suspect lane; only from there a crash makes it dead.
local alive, control, done, dead, dead_jobs = unpack(KEYS, 1, 5)
local consumer, group, lane, crashed = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == 'crashed'
local SUSPECT, CRASHES, STATE_DEAD, STATE_CRASHED = 3, 3, 2, 6
local FIELDS = { 'kind', 'body', 'id', 'v', 'n', 'run', 'crash', 'at', 'opt', 'tp', 'ct' }
local source = KEYS[6 + lane]
if crashed and redis.call('HEXISTS', alive, consumer) == 1 then
  return -1
end
local clock = redis.call('TIME')
local now_us = string.format('%.0f', clock[1] * 1000000 + clock[2])
local now_ms = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
local recorded = redis.call('HEXISTS', control, 'record') == 1

-- The id of an entry that carries none; the same as `derived_id` in the client.
local function derived_id(stream_id)
  local hash = redis.sha1hex(source .. ' ' .. stream_id)
  local time = string.format('%012x', tonumber(string.match(stream_id, '^%d+')))
  local variant = string.format('%x', 8 + tonumber(string.sub(hash, 5, 5), 16) % 4)
  return string.sub(time, 1, 8) .. '-' .. string.sub(time, 9) .. '-8' .. string.sub(hash, 2, 4) .. '-' .. variant ..
    string.sub(hash, 6, 8) .. '-' .. string.sub(hash, 9, 20)
end

-- Whether the client can read an entry as a job. What it can't read would make a whole pack of outcomes unreadable.
local X4 = '%x%x%x%x'
local UUID = '^' .. X4 .. X4 .. '%-?' .. X4 .. '%-?' .. X4 .. '%-?' .. X4 .. '%-?' .. X4 .. X4 .. X4 .. '$'
local function is_job(job)
  for name, digits in pairs({ v = 9, n = 9, run = 9, crash = 9, at = 15 }) do
    if job[name] and (#job[name] > digits or not string.match(job[name], '^%d+$')) then
      return false
    end
  end
  return job.kind and job.body and (not job.id or string.match(job.id, UUID))
end

local packs = {}
-- A MessagePack array of 17 (\220\0\17) whose absent values are nil (\192), which cmsgpack leaves out of tables.
local function keep_outcome(job, state, reason, payload)
  packs[#packs + 1] = '\220\0\17' .. cmsgpack.pack(job.id, job.kind, lane, tonumber(job.v or 1), tonumber(job.run or 1),
    tonumber(job.n or 1), tonumber(job.crash), state, tonumber(job.at)) .. '\192' ..
    cmsgpack.pack(tonumber(now_us), consumer, reason) .. (payload and cmsgpack.pack(payload) or '\192') ..
    (job.ct and cmsgpack.pack(job.ct) or '\192') .. '\192\192'
end

local touched = 0
for i = 5, #ARGV do
  local id = ARGV[i]
  if #redis.call('XPENDING', source, group, id, id, 1, consumer) == 1 then
    touched = touched + 1
    local entry = redis.call('XRANGE', source, id, id)[1]
    if entry then
      local job, raw = {}, entry[2]
      for f = 1, #raw, 2 do job[raw[f]] = raw[f + 1] end
      if is_job(job) then
        job.id = job.id or derived_id(id)
        job.at = job.at or string.match(id, '^%d+')
        job.crash = (tonumber(job.crash) or 0) + (crashed and 1 or 0)
        local gives_up = crashed and lane == SUSPECT and job.crash >= CRASHES
        local reason = 'the worker process died while the job ran (crash ' .. job.crash .. ')'
        if crashed and recorded then
          keep_outcome(job, gives_up and STATE_DEAD or STATE_CRASHED, reason, gives_up and job.body)
        end
        job.run = (tonumber(job.run) or 1) + 1
        local fields = {}
        for _, name in ipairs(FIELDS) do
          local value = job[name]
          if value and not (name == 'crash' and value == 0) then
            fields[#fields + 1] = name
            fields[#fields + 1] = tostring(value)
          end
        end
        if gives_up then
          redis.call('HSET', dead_jobs, job.id, cmsgpack.pack({ lane, 'error', reason, unpack(fields) }))
          redis.call('ZADD', dead, now_ms, job.id)
        else
          local target = job.crash >= CRASHES - 1 and SUSPECT or lane
          redis.call('XADD', KEYS[6 + target], '*', unpack(fields))
        end
      else
        redis.call('HSET', dead_jobs, derived_id(id), cmsgpack.pack({ lane, 'error', 'the entry is no job', unpack(raw) }))
        redis.call('ZADD', dead, now_ms, derived_id(id))
      end
    end
    redis.call('XACK', source, group, id)
    redis.call('XDEL', source, id)
  end
end
if #packs > 0 then
  local pack = table.concat(packs)
  redis.call('XADD', done, '*', 'n', #packs, 'b', pack)
  redis.call('HINCRBY', control, 'done:outcomes', #packs)
  redis.call('HINCRBY', control, 'done:bytes', #pack)
end
return touched
