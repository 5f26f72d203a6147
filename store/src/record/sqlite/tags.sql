-- One row per tag of a job, at the time that the job's row shows now: what came before may have given the tags.
WITH staged (id) AS (VALUES {rows})
INSERT INTO millstream_job_tags AS old (tag, job_id, finished_at, enqueued_at)
SELECT DISTINCT tags.value, jobs.id, jobs.finished_at, jobs.enqueued_at
FROM staged
CROSS JOIN millstream_jobs AS jobs ON jobs.id = staged.id
CROSS JOIN json_each(jobs.tags) AS tags
WHERE true
ON CONFLICT (tag, job_id) DO UPDATE SET finished_at = excluded.finished_at WHERE old.finished_at <> excluded.finished_at
