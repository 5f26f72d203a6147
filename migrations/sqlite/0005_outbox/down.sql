DROP TABLE millstream_outbox_rejected;
DROP TABLE millstream_outbox_batches;
DROP TABLE millstream_outbox;
DROP TABLE millstream_outbox_state;
