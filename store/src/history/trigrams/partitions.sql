-- The partitions of the jobs that have an index of trigrams and bounds, newest first; a bound is null where it has no end.
SELECT part.oid::regclass::text,
    substring(bounds.text FROM 'FROM \(''([^'']+)''\)')::timestamptz AS since,
    substring(bounds.text FROM 'TO \(''([^'']+)''\)')::timestamptz
FROM pg_inherits
JOIN pg_class AS part ON part.oid = pg_inherits.inhrelid,
    pg_get_expr(part.relpartbound, part.oid) AS bounds (text)
WHERE pg_inherits.inhparent = to_regclass('millstream_jobs')
    AND bounds.text <> 'DEFAULT'
    AND to_regclass('millstream_jobs_error_text') IS NOT NULL
ORDER BY since DESC NULLS LAST
