-- The tags of jobs, found by those that stand in their rows. ?1 JSON array of ids in hexadecimal
DELETE FROM millstream_job_tags
WHERE (tag, job_id) IN (
    SELECT tags.value, jobs.id
    FROM json_each(?1) AS due
    CROSS JOIN millstream_jobs AS jobs ON jobs.id = unhex(due.value)
    CROSS JOIN json_each(jobs.tags) AS tags
)
