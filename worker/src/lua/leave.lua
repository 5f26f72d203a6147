#!lua flags=allow-oom
-- Takes a consumer out of the living at the end of its work; whatever it still holds is an orphan from now on.
-- KEYS  alive
-- ARGV  consumer
-- returns 'OK'
redis.call('HDEL', KEYS[1], ARGV[1], ARGV[1] .. ':fin')
return redis.status_reply('OK')
