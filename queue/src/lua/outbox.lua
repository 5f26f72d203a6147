-- What the scripts of the outbox share.

-- Takes the number of a batch, unless it or a later one of this outbox was taken before. One that is to come `after` another one
-- ('' where not) is not taken before that has arrived, with all its messages. Returns the number of the last batch before this
-- call, and where this one is not to be run the reply.
local function take_number(key, outbox, number)
  local after = ARGV[#ARGV]
  local last = redis.call('HGET', key, outbox) or '0'
  if tonumber(last) >= tonumber(number) then
    return last, { last, last == number and redis.call('HGET', key, outbox .. ':refused') or '', 0 }
  end
  if after ~= '' and (last ~= after or redis.call('HEXISTS', key, outbox .. ':refused') == 1) then
    return last, { last, '', 1 }
  end
  redis.call('HSET', key, outbox, number)
  return last, nil
end

-- Appends `count` entries of the fields `names` (a text, names between spaces), whose values stand in ARGV from `first`. What
-- Redis refuses of them is added to `refused` with its place in the batch, that of the first being `place`. Returns where the
-- values end.
local function append(stream, names, count, first, place, refused)
  local fields = {}
  for name in string.gmatch(names, '%S+') do fields[#fields + 1] = name end
  local width, list = #fields, {}
  for number = 0, count - 1 do
    local done
    if names == 'kind body id at' then
      -- What most jobs have, without a list.
      done = redis.pcall('XADD', stream, '*', 'kind', ARGV[first], 'body', ARGV[first + 1], 'id', ARGV[first + 2],
        'at', ARGV[first + 3])
    else
      for field = 1, width do
        list[2 * field - 1], list[2 * field] = fields[field], ARGV[first + field - 1]
      end
      done = redis.pcall('XADD', stream, '*', unpack(list, 1, 2 * width))
    end
    if type(done) == 'table' and done.err then
      refused[#refused + 1] = { place + number, done.err }
    end
    first = first + width
  end
  return first
end

-- Calls `run(lane, names, count, first, place)` for each group of messages. At the end of ARGV stand three of each group (number
-- of a lane, names of fields, how many messages), then how many groups, then what `take_number` reads; the values of all messages
-- stand before, from `first`. `run` returns where those of its group end.
local function each_group(first, run)
  local groups, place = tonumber(ARGV[#ARGV - 1]), 0
  for header = #ARGV - 1 - 3 * groups, #ARGV - 4, 3 do
    local count = tonumber(ARGV[header + 2])
    first = run(tonumber(ARGV[header]), ARGV[header + 1], count, first, place)
    place = place + count
  end
end

-- Keeps what was refused of the last batch beside its number, since the reply may be lost and asked for again.
local function keep_refused(key, outbox, refused)
  if #refused == 0 then
    redis.call('HDEL', key, outbox .. ':refused')
    return ''
  end
  local list = cjson.encode(refused)
  redis.call('HSET', key, outbox .. ':refused', list)
  return list
end

