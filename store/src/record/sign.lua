#!lua flags=allow-oom
-- Signs a queue's books: this recorder counts there what it deletes from `done`.
-- KEYS  books
-- ARGV  consumer
-- returns 'OK'
-- A script, because at maxmemory a plain write is refused, and the recorder must go on, for it is what frees memory.
redis.call('HSET', KEYS[1], ARGV[1], 'recorder')
return redis.status_reply('OK')
