#!lua flags=allow-oom
-- Enters a consumer among the living of a queue, and makes the groups that it reads with; without a consumer, only the
-- groups, after somebody deleted the lanes. What is in hand then is skipped by its holders.
-- KEYS  alive, lanes (high, normal, low, suspect)
-- ARGV  consumer or '', group
-- returns 'OK'
-- Atomic, so that no consumer reads before it is alive. Groups start at 0: what was enqueued before counts.
for lane = 2, 5 do
  local made = redis.pcall('XGROUP', 'CREATE', KEYS[lane], ARGV[2], '0', 'MKSTREAM')
  if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
    return made
  end
end
if ARGV[1] ~= '' then
  redis.call('HSETNX', KEYS[1], ARGV[1], '1')
end
return redis.status_reply('OK')
