#!lua flags=allow-oom
-- Frees a unique key, if it is this job that holds it.
-- KEYS  the unique key
-- ARGV  job id
-- returns 1 when freed, else 0
-- Atomic, so that no key of a job that came later is freed.
local value = redis.call('GET', KEYS[1])
if value and unique_holder(value) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
