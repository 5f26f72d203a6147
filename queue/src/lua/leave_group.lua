#!lua flags=allow-oom
-- A member leaves a topic's durable group: what it holds is due for redelivery at once; holding nothing, it is deleted.
-- KEYS  log
-- ARGV  group, member, ms after which events are delivered again
-- returns 1 when deleted, 0 when it still holds events or there is no such group
-- Atomic, for deleting a member loses what is pending for it.
local log, group, member = KEYS[1], ARGV[1], ARGV[2]
local held = redis.pcall('XPENDING', log, group, '-', '+', 1000, member)
if held.err then
  return 0
end
for _, event in ipairs(held) do
  redis.call('XCLAIM', log, group, member, 0, event[1], 'IDLE', ARGV[3], 'JUSTID')
end
-- A claim drops events that are no longer in the stream.
if #redis.call('XPENDING', log, group, '-', '+', 1, member) > 0 then
  return 0
end
redis.call('XGROUP', 'DELCONSUMER', log, group, member)
return 1
