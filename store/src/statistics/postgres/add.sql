-- One statement for all rows that a batch adds.
INSERT INTO millstream_statistics (id, kind, queue, state, seconds, bucket, runs, waits, run_times, folded)
SELECT id, kind, queue, state, seconds, bucket, runs, waits, run_times, false
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS added (
    id, kind, queue, state, seconds, bucket, runs, waits, run_times
)
