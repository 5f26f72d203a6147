-- The oldest of what was set aside by relays before a time. $1 the time, $2 how many at most
DELETE FROM millstream_outbox_rejected
WHERE seq IN (SELECT seq FROM millstream_outbox_rejected WHERE rejected_at < $1 ORDER BY rejected_at LIMIT $2)
