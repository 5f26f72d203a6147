#!lua flags=allow-oom
-- Enters a consumer among the living of a queue, and makes the groups that it reads with; without a consumer, only the
-- groups, after somebody deleted the lanes. What is in hand then is skipped by its holders. A consumer also signs the queue's
-- books, for it counts there what it deletes from the lanes; the signatures of those that are gone are removed.
-- KEYS  alive, books, lanes (high, normal, low, suspect)
-- ARGV  consumer or '', group
-- returns 'OK'
-- Atomic, so that no consumer reads before it is alive, and none is alive whose signature is missing. Groups start at 0: what
-- was enqueued before counts.
local alive, books, consumer, group = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
for lane = 3, 6 do
  local made = redis.pcall('XGROUP', 'CREATE', KEYS[lane], group, '0', 'MKSTREAM')
  if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
    return made
  end
end
if consumer == '' then
  return redis.status_reply('OK')
end
redis.call('HSETNX', alive, consumer, '1')
local signed = redis.pcall('HGETALL', books)
for i = 1, signed.err and 0 or #signed, 2 do
  if signed[i + 1] == 'worker' and redis.call('HEXISTS', alive, signed[i]) == 0 then
    redis.call('HDEL', books, signed[i])
  end
end
redis.pcall('HSET', books, consumer, 'worker')
return redis.status_reply('OK')
