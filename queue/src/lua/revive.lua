#!lua
-- Gives dead jobs another life, each as a new job; one that is no longer among the dead is left alone.
-- KEYS  dead, dead:jobs, lanes (high, normal, low, suspect)
-- ARGV  prefix of the queue's keys, then per job: id of the dead one, the new one packed
-- returns the number revived
-- Atomic, so that a dead job is revived once, however many ask for it. A job whose unique key another one has taken by now
-- stays dead.
local dead, dead_jobs, prefix, FIRST_LANE = KEYS[1], KEYS[2], ARGV[1], 3
local revived = 0
for i = 2, #ARGV, 2 do
  local id, list = ARGV[i], cmsgpack.unpack(ARGV[i + 1])
  local job = fields_of(list, 2)
  local unique = unique_of(job)
  local key = unique and prefix .. 'unique:' .. unique.key
  if redis.call('HEXISTS', dead_jobs, id) == 1 and not (key and redis.call('EXISTS', key) == 1) then
    local entry = redis.call('XADD', KEYS[FIRST_LANE + list[1]], '*', unpack(list, 2))
    if key then
      local value = job.id .. ' ' .. unique['until'] .. ' ' .. list[1] .. ' ' .. entry
      redis.call('SET', key, value, 'PX', string.format('%.0f', UNIQUE_KEPT))
    end
    note(prefix, 'dead', -redis.call('ZREM', dead, id))
    redis.call('HDEL', dead_jobs, id)
    revived = revived + 1
  end
end
return revived
