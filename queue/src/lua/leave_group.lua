#!lua flags=allow-oom
-- Deletes a member of a topic's durable group that holds nothing.
-- KEYS  log
-- ARGV  group, member
-- returns 1 when deleted, 0 when it still holds events or there is no such group
-- Atomic, for deleting a member loses what is pending for it.
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if pending.err or #pending > 0 then
  return 0
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
