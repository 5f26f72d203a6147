-- A time of each week between $1 and $2 of which rows lie with the other times.
SELECT min(enqueued_at)
FROM (
    SELECT enqueued_at FROM ONLY millstream_jobs_other UNION ALL SELECT enqueued_at FROM ONLY millstream_attempts_other
) AS other
WHERE enqueued_at >= $1 AND enqueued_at < $2
GROUP BY date_trunc('week', enqueued_at, 'UTC')
