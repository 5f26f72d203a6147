#!lua flags=allow-oom
-- Frees a unique key, if it is this job that holds it.
-- KEYS  the unique key
-- ARGV  job id
-- returns 1 when freed, else 0
-- Atomic, so that no key of a job that came later is freed.
return holds(KEYS[1], ARGV[1]) and redis.call('DEL', KEYS[1]) or 0
