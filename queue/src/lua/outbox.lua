-- What the scripts of the outbox share. Keeps what was refused of the last batch beside its number, since the reply may be
-- lost and asked for again.
local function keep_refused(key, outbox, refused)
  if #refused == 0 then
    redis.call('HDEL', key, outbox .. ':refused')
    return ''
  end
  local list = cjson.encode(refused)
  redis.call('HSET', key, outbox .. ':refused', list)
  return list
end

