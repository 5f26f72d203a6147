#!lua flags=allow-oom
-- Deletes a recorder's consumer, and its signature in the books, unless packs lie with it.
-- KEYS  done, books
-- ARGV  group, consumer
-- returns 1 where it is deleted, else 0
-- Atomic, because deleting a consumer drops what is pending for it.
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', '1', ARGV[2])
if pending.err or #pending > 0 then
  return 0
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
redis.pcall('HDEL', KEYS[2], ARGV[2])
return 1
