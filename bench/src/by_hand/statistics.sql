INSERT INTO millstream_statistics (id, kind, queue, state, seconds, bucket, runs, waits, run_times, folded)
VALUES ($1, $2, $3, 'completed', 60, $4, $5, $6, $6, false)
