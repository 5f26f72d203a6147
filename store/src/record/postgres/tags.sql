-- One row per tag of a job, at the time that the job's row shows now: what came before may have given the tags.
-- $1 whether for heads with tags too
INSERT INTO millstream_job_tags AS old (tag, job_id, finished_at, enqueued_at)
SELECT DISTINCT tags.tag, jobs.id, jobs.finished_at, jobs.enqueued_at
FROM millstream_staged AS staged
JOIN millstream_jobs AS jobs ON jobs.id = staged.id AND jobs.enqueued_at = staged.enqueued_at,
    jsonb_array_elements_text(jobs.tags) AS tags (tag)
WHERE staged.head AND ($1 AND staged.tags IS NOT NULL OR staged.tags IS NULL AND staged.run > 1) AND jobs.tags IS NOT NULL
ON CONFLICT (tag, job_id) DO UPDATE SET finished_at = excluded.finished_at WHERE old.finished_at <> excluded.finished_at
