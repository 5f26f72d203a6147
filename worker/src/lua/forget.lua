#!lua flags=allow-oom
-- Deletes a consumer that is not alive and holds nothing, from every lane.
-- KEYS  alive, lanes (high, normal, low, suspect)
-- ARGV  consumer, group
-- returns 1 when deleted, 0 when it is alive or still holds entries
-- Atomic, for deleting a consumer loses what is pending for it.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return 0
end
for lane = 2, 5 do
  local pending = redis.pcall('XPENDING', KEYS[lane], ARGV[2], '-', '+', 1, ARGV[1])
  if not pending.err and #pending > 0 then
    return 0
  end
end
for lane = 2, 5 do
  redis.pcall('XGROUP', 'DELCONSUMER', KEYS[lane], ARGV[2], ARGV[1])
end
return 1
