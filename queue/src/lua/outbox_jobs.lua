#!lua
-- Enqueues a numbered batch of jobs from an outbox, unless it or a later one of this outbox was enqueued before.
-- KEYS  outbox, later, later:jobs, the lanes high, normal, low
-- ARGV  id of the outbox, number of the batch, signal channel, prefix of the queue's keys, then ten of each job: id, number of
--       its lane, 'now' | 'after' | 'at', ms (of the delay or of the Unix time), packed job, window in ms or 0, number of the
--       window's bucket, digest of the unique key or '', ms for which a key of a 'time' is taken,
--       '<started | finished | time> <keep | replace | debounce>' or ''
-- returns {number of the last batch before this call or '0'; JSON list of [index from 0, reason] of the jobs of this batch that
--       Redis refused, or ''}
-- Atomic, so that a batch has its effect once, however often and however late it is sent.
local outbox, number = ARGV[1], ARGV[2]
local last = redis.call('HGET', KEYS[1], outbox) or '0'
if tonumber(last) >= tonumber(number) then
  return { last, last == number and redis.call('HGET', KEYS[1], outbox .. ':refused') or '' }
end
redis.call('HSET', KEYS[1], outbox, number)

local queue = { later = KEYS[2], later_jobs = KEYS[3], signal = ARGV[3], prefix = ARGV[4] }
local refused = {}
for first = 5, #ARGV, 10 do
  local push = {
    id = ARGV[first], lane_key = KEYS[4 + tonumber(ARGV[first + 1])], when = ARGV[first + 2], ms = tonumber(ARGV[first + 3]),
    packed = ARGV[first + 4], window = tonumber(ARGV[first + 5]), seen = {},
  }
  if push.window > 0 then
    local bucket = tonumber(ARGV[first + 6])
    for _, near in ipairs({ bucket, bucket - 1, bucket + 1 }) do
      push.seen[#push.seen + 1] = queue.prefix .. 'seen:' .. string.format('%.0f', near)
    end
  end
  if ARGV[first + 7] ~= '' then
    push.unique_key = queue.prefix .. 'unique:' .. ARGV[first + 7]
    push.unique_ms = tonumber(ARGV[first + 8])
    push.till, push.conflict = string.match(ARGV[first + 9], '^(%S+) (%S+)$')
  end
  -- What is wrong with one job, such as a key of another type, must not take the others with it.
  local done, reason = pcall(enqueue, queue, push)
  if not done then
    refused[#refused + 1] = { (first - 5) / 10, type(reason) == 'table' and reason.err or tostring(reason) }
  end
end
return { last, keep_refused(KEYS[1], outbox, refused) }
