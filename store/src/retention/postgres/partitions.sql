-- The partitions of the history that end at $1 or before, each with its table; none where the tables have none.
SELECT parent.oid::regclass::text, child.oid::regclass::text
FROM pg_inherits
JOIN pg_class AS parent ON parent.oid = pg_inherits.inhparent
JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
WHERE parent.oid IN (to_regclass('millstream_jobs'), to_regclass('millstream_attempts'))
    AND parent.relkind = 'p'
    AND substring(pg_get_expr(child.relpartbound, child.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz <= $1
ORDER BY child.relname
