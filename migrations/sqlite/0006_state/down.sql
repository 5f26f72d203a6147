DROP TABLE millstream_losses;
DROP TABLE millstream_watermarks;
DROP TABLE millstream_fences;
DROP TABLE millstream_state_history;
DROP TABLE millstream_state;
DROP TABLE millstream_state_changes;
