-- Those of the seen jobs that are as they were. A cross join, so that SQLite looks up each that was seen.
-- ?1 JSON array of [id in hexadecimal, when it ended], ?2 the state of all
SELECT json_group_array(hex(jobs.id)) AS ids
FROM json_each(?1) AS seen
CROSS JOIN millstream_jobs AS jobs ON jobs.id = unhex(seen.value ->> 0)
WHERE jobs.finished_at = seen.value ->> 1 AND jobs.state = ?2
