#!lua flags=allow-oom
-- One beat of a consumer, its look at the others, and the fencing of those it has seen stand still.
-- KEYS  alive, lanes (high, normal, low, suspect)
-- ARGV  consumer, group, then pairs of a consumer that stood still and its counter as observed
-- returns {alive 0/1, pending entries of this consumer, consumers that aren't alive, fenced, 1 if a suspect waits
--          to be handed out or 0, {consumer, counter, ...}}
-- Atomic, so that a consumer is fenced only while its counter is still the one observed. A beat never makes an entry:
-- who was fenced stays fenced. Allowed at maxmemory, for otherwise a full server would fence all its workers.
local alive, me, group = KEYS[1], ARGV[1], ARGV[2]
if redis.call('HEXISTS', alive, me) == 0 then
  return { 0, 0, 0, 0, 0, {} }
end
redis.call('HINCRBY', alive, me, 1)

local fenced = 0
for i = 3, #ARGV, 2 do
  if redis.call('HGET', alive, ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', alive, ARGV[i], ARGV[i] .. ':fin')
    fenced = fenced + 1
  end
end

local counters, living = {}, {}
local fields = redis.call('HGETALL', alive)
for i = 1, #fields, 2 do
  if string.sub(fields[i], -4) ~= ':fin' then
    living[fields[i]] = true
    counters[#counters + 1] = fields[i]
    counters[#counters + 1] = fields[i + 1]
  end
end

local pending, orphans = 0, 0
for lane = 2, 5 do
  local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[lane], group)
  if not consumers.err then
    for _, consumer in ipairs(consumers) do
      local name, waiting
      for f = 1, #consumer, 2 do
        if consumer[f] == 'name' then name = consumer[f + 1] end
        if consumer[f] == 'pending' then waiting = consumer[f + 1] end
      end
      if name == me then
        pending = pending + waiting
      elseif not living[name] then
        orphans = orphans + 1
      end
    end
  end
end

-- Who has to be alone for a suspect keeps others waiting, so nobody shall for one that is in another's hand.
local suspects = redis.call('XLEN', KEYS[5])
local groups = suspects > 0 and redis.pcall('XINFO', 'GROUPS', KEYS[5]) or {}
for g = 1, groups.err and 0 or #groups do
  local of = {}
  for f = 1, #groups[g], 2 do of[groups[g][f]] = groups[g][f + 1] end
  if of.name == group then
    suspects = #redis.call('XRANGE', KEYS[5], '(' .. of['last-delivered-id'], '+', 'COUNT', 1)
  end
end
return { 1, pending, orphans, fenced, suspects > 0 and 1 or 0, counters }
