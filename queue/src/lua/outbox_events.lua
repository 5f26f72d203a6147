#!lua
-- Publishes a numbered batch of events from an outbox, unless it or a later one of this outbox was published before.
-- KEYS  outbox, the topic's log
-- ARGV  id of the outbox, number of the batch, then each event: a MessagePack array of its fields, name after value
-- returns {number of the last batch before this call or '0'; JSON list of [index from 0, reason] of the events of this batch
--       that Redis refused, or ''}
-- Atomic, so that a batch has its effect once, however often and however late it is sent.
local outbox, number = ARGV[1], ARGV[2]
local last = redis.call('HGET', KEYS[1], outbox) or '0'
if tonumber(last) >= tonumber(number) then
  return { last, last == number and redis.call('HGET', KEYS[1], outbox .. ':refused') or '' }
end
redis.call('HSET', KEYS[1], outbox, number)

local refused = {}
for event = 3, #ARGV do
  local done = redis.pcall('XADD', KEYS[2], '*', unpack(cmsgpack.unpack(ARGV[event])))
  if type(done) == 'table' and done.err then
    refused[#refused + 1] = { event - 3, done.err }
  end
end
return { last, keep_refused(KEYS[1], outbox, refused) }
