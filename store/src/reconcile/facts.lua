#!lua flags=allow-oom
-- What the keys of a queue say of themselves. Books that nobody has looked at get the time of this as the name by which the next
-- look knows them.
-- KEYS  control, books, alive, later, later:jobs, dead, dead:jobs, done, lanes (high, normal, low, suspect)
-- ARGV  group of the workers, group of the recorders, field of the watermark's number
-- returns texts: name of the books; '1' where outcomes are kept, else '0'; number of the watermark or ''; outcomes counted as
--         waiting; outcomes dropped ever; workers, then recorders, that have not signed the books; then for later and dead: jobs of
--         which one half is missing, jobs that should be there according to the books less those that are; then for done and each
--         lane: entries ever added, id of the last one, entries there, entries pending for the group, entries taken out according
--         to the books
-- Atomic, since only numbers of one moment balance; a script, because of the entries that XINFO STREAM gives, which may be large,
-- nothing is wanted.
local control, books, alive, later, later_jobs, dead, dead_jobs = unpack(KEYS, 1, 7)
local workers, recorders, mark = ARGV[1], ARGV[2], ARGV[3]
local DONE = 8

local function text(number)
  return string.format('%.0f', number)
end

local function fields_of(list)
  local fields = {}
  for f = 1, #list, 2 do fields[list[f]] = list[f + 1] end
  return fields
end

local function unsigned(names, role)
  local count = 0
  for _, name in ipairs(names) do
    if redis.call('HGET', books, name) ~= role then count = count + 1 end
  end
  return text(count)
end

local function living()
  local names = {}
  for _, field in ipairs(redis.call('HKEYS', alive)) do
    if string.sub(field, -4) ~= ':fin' then names[#names + 1] = field end
  end
  return names
end

local function recording()
  local names, consumers = {}, redis.pcall('XINFO', 'CONSUMERS', KEYS[DONE], recorders)
  for i = 1, consumers.err and 0 or #consumers do
    names[i] = fields_of(consumers[i]).name
  end
  return names
end

local set = redis.call('HMGET', control, 'record', mark, 'done:outcomes', 'done:dropped')
local clock = redis.call('TIME')
redis.call('HSETNX', books, 'begun', clock[1] .. '.' .. clock[2])
local facts = {
  redis.call('HGET', books, 'begun'),
  set[1] and '1' or '0', set[2] or '', set[3] or '0', set[4] or '0', unsigned(living(), 'worker'),
  unsigned(recording(), 'recorder'),
}
local function add_set(set, hash, name)
  local count = redis.call('ZCARD', set)
  facts[#facts + 1] = text(math.abs(count - redis.call('HLEN', hash)))
  facts[#facts + 1] = text(tonumber(redis.call('HGET', books, name) or '0') - count)
end
add_set(later, later_jobs, 'later')
add_set(dead, dead_jobs, 'dead')

local function add_stream(key, group, name)
  local added, last, length, pending = 0, '0-0', 0, 0
  if redis.call('EXISTS', key) == 1 then
    local stream = fields_of(redis.call('XINFO', 'STREAM', key))
    added, last, length = stream['entries-added'], stream['last-generated-id'], stream.length
    for _, one in ipairs(redis.call('XINFO', 'GROUPS', key)) do
      local fields = fields_of(one)
      if fields.name == group then pending = fields.pending end
    end
  end
  for _, fact in ipairs({ text(added), last, text(length), text(pending), redis.call('HGET', books, name) or '0' }) do
    facts[#facts + 1] = fact
  end
end
add_stream(KEYS[DONE], recorders, 'done')
for lane, name in ipairs({ 'high', 'normal', 'low', 'suspect' }) do
  add_stream(KEYS[DONE + lane], workers, name)
end
return facts
