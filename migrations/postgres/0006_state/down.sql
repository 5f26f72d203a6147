DROP TABLE millstream_losses;
DROP TABLE millstream_watermarks;
DROP TABLE millstream_fences;
DROP TABLE millstream_state_history;
DROP TABLE millstream_state;
DROP FUNCTION millstream_state_notify();
DROP SEQUENCE millstream_state_changes;
