#!lua flags=allow-oom
-- Removes packs whose outcomes are in SQL and takes them off the count of waiting outcomes.
-- KEYS  control, done, books
-- ARGV  group, entry id...
-- returns 'OK'
-- Atomic, so that the count falls exactly once per pack, however many recorders confirm it, and the books tell what they took
-- from what was deleted by someone else.
local outcomes, bytes, packs = 0, 0, 0
for i = 2, #ARGV do
  local entry = redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i])[1]
  redis.call('XACK', KEYS[2], ARGV[1], ARGV[i])
  if entry and redis.call('XDEL', KEYS[2], ARGV[i]) == 1 then
    packs = packs + 1
    for f = 1, #entry[2], 2 do
      if entry[2][f] == 'n' then outcomes = outcomes + tonumber(entry[2][f + 1]) end
      if entry[2][f] == 'b' then bytes = bytes + #entry[2][f + 1] end
    end
  end
end
if outcomes > 0 then
  redis.call('HINCRBY', KEYS[1], 'done:outcomes', -outcomes)
  redis.call('HINCRBY', KEYS[1], 'done:bytes', -bytes)
end
if packs > 0 then redis.pcall('HINCRBY', KEYS[3], 'done', packs) end
return redis.status_reply('OK')
