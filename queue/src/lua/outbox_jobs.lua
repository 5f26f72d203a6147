#!lua
-- Enqueues a numbered batch of jobs from an outbox, unless it or a later one of this outbox was enqueued before.
-- KEYS  outbox, later, later:jobs, the lanes high, normal, low
-- ARGV  id of the outbox, number of the batch, signal channel, prefix of the queue's keys, then of each job the values of its
--       entry's fields, where it is due and has no key, and nine values where not: id, 'now' | 'after' | 'at', ms (of the delay
--       or of the Unix time), packed job, window in ms or 0, number of the window's bucket, digest of the unique key or '', ms
--       for which a key of a 'time' is taken, '<started | finished | time> <keep | replace | debounce>' or ''; then the groups
--       of jobs with the same lane and fields ('' where there are nine values), as each_group in outbox.lua takes them, and the
--       number of the batch that has to come first or ''
-- returns {number of the last batch before this call or '0'; JSON list of [index from 0, reason] of the jobs of this batch that
--       Redis refused, or ''; 1 where the batch that has to come first has not arrived completely, so that nothing was done}
-- Atomic, so that a batch has its effect once, however often and however late it is sent.
local outbox, number = ARGV[1], ARGV[2]
local last, reply = take_number(KEYS[1], outbox, number)
if reply then return reply end

local queue = { later = KEYS[2], later_jobs = KEYS[3], signal = ARGV[3], prefix = ARGV[4] }

local function push_at(first, lane_key)
  local push = {
    id = ARGV[first], lane_key = lane_key, when = ARGV[first + 1], ms = tonumber(ARGV[first + 2]),
    packed = ARGV[first + 3], window = tonumber(ARGV[first + 4]), seen = {},
  }
  if push.window > 0 then
    local bucket = tonumber(ARGV[first + 5])
    for _, near in ipairs({ bucket, bucket - 1, bucket + 1 }) do
      push.seen[#push.seen + 1] = queue.prefix .. 'seen:' .. string.format('%.0f', near)
    end
  end
  if ARGV[first + 6] ~= '' then
    push.unique_key = queue.prefix .. 'unique:' .. ARGV[first + 6]
    push.unique_ms = tonumber(ARGV[first + 7])
    push.till, push.conflict = string.match(ARGV[first + 8], '^(%S+) (%S+)$')
  end
  return push
end

local refused = {}
each_group(5, function(lane, names, count, first, place)
  local lane_key = KEYS[4 + lane]
  if names ~= '' then
    return append(lane_key, names, count, first, place, refused)
  end
  for job = 0, count - 1 do
    -- What is wrong with one job, such as a key of another type, must not take the others with it.
    local done, reason = pcall(enqueue, queue, push_at(first + 9 * job, lane_key))
    if not done then
      refused[#refused + 1] = { place + job, type(reason) == 'table' and reason.err or tostring(reason) }
    end
  end
  return first + 9 * count
end)
return { last, keep_refused(KEYS[1], outbox, refused), 0 }
