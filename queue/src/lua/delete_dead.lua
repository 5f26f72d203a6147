#!lua flags=allow-oom
-- Deletes dead jobs.
-- KEYS  dead, dead:jobs
-- ARGV  prefix of the queue's keys, job id...
-- returns the number deleted
-- Atomic, so that no job stays half, and each that is deleted is in the books.
local deleted = redis.call('ZREM', KEYS[1], unpack(ARGV, 2))
redis.call('HDEL', KEYS[2], unpack(ARGV, 2))
note(ARGV[1], 'dead', -deleted)
return deleted
