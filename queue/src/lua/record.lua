#!lua flags=allow-oom
-- Registers the recorder of a queue: from the next finish on, outcomes are appended to `done`.
-- KEYS  control, done
-- ARGV  group
-- returns 'OK'
-- Atomic, so that no finish sees the flag without the group that will read what it appends.
local made = redis.pcall('XGROUP', 'CREATE', KEYS[2], ARGV[1], '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then
  return made
end
redis.call('HSET', KEYS[1], 'record', '1')
return redis.status_reply('OK')
