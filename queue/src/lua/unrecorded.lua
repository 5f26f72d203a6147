#!lua flags=no-writes
-- What of a queue waits for a recorder.
-- KEYS  control, done
-- returns outcomes, bytes, limit ('' where none is set), dropped ever, ms since the oldest came ('' where none waits); texts
-- Atomic, because the count and the oldest should be of one moment; a script, because of the oldest pack, which may be large,
-- only the id is wanted, and its age by the server's clock.
local fields = redis.call('HMGET', KEYS[1], 'done:outcomes', 'done:bytes', 'done:limit', 'done:dropped')
local oldest, age = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', '1')[1], ''
if oldest then
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  age = string.format('%.0f', math.max(0, now - tonumber(string.match(oldest[1], '^%d+'))))
end
return { fields[1] or '0', fields[2] or '0', fields[3] or '', fields[4] or '0', age }
