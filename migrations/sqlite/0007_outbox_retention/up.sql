-- What can't be relayed is kept for a time and then deleted, oldest first.
CREATE INDEX millstream_outbox_rejected_by_time ON millstream_outbox_rejected (rejected_at);
