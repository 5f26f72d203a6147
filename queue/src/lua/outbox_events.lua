#!lua
-- Publishes a numbered batch of events from an outbox, unless it or a later one of this outbox was published before.
-- KEYS  outbox, the topic's log
-- ARGV  id of the outbox, number of the batch, then of each event the values of its fields, then the groups of events with the
--       same fields, as each_group in outbox.lua takes them, and the number of the batch that has to come first or ''
-- returns {number of the last batch before this call or '0'; JSON list of [index from 0, reason] of the events of this batch
--       that Redis refused, or ''; 1 where the batch that has to come first has not arrived completely, so that nothing was done}
-- Atomic, so that a batch has its effect once, however often and however late it is sent.
local outbox, number = ARGV[1], ARGV[2]
local last, reply = take_number(KEYS[1], outbox, number)
if reply then return reply end

local refused = {}
each_group(3, function(_, names, count, first, place)
  return append(KEYS[2], names, count, first, place, refused)
end)
return { last, keep_refused(KEYS[1], outbox, refused), 0 }
