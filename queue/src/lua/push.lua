#!lua
-- Enqueues one job under an idempotency key, with a unique key, for later, or any of these together.
-- KEYS  the lane's stream, later, later:jobs, with a unique key: it, then with a window: seen (this bucket, the one before,
--       the one after)
-- ARGV  id, 'now' | 'after' | 'at', ms (of the delay or of the Unix time), window in ms or 0, signal channel, packed job,
--       prefix of the queue's keys, then with a unique key: 'started' | 'finished' | 'time', ms for which a key of a 'time' is
--       taken, 'keep' | 'replace' | 'debounce'
-- returns {1 when stored or put in place of a waiting job, else 0; id of the job that stands}
-- Atomic, so that two pushes under one key store one job, and no delayed job is without its body or its time.
local queue = { later = KEYS[2], later_jobs = KEYS[3], signal = ARGV[5], prefix = ARGV[7] }
local push = { lane_key = KEYS[1], id = ARGV[1], when = ARGV[2], ms = tonumber(ARGV[3]), packed = ARGV[6], seen = {} }
local first_seen = 4
if ARGV[8] then
  push.unique_key, push.till, push.unique_ms, push.conflict = KEYS[4], ARGV[8], tonumber(ARGV[9]), ARGV[10]
  first_seen = 5
end
push.window = tonumber(ARGV[4])
for bucket = first_seen, #KEYS do push.seen[#push.seen + 1] = KEYS[bucket] end
return enqueue(queue, push)
