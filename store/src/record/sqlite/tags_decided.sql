-- The same where the head has decided over its job's row, which then shows what the head says.
INSERT INTO millstream_job_tags AS old (tag, job_id, finished_at, enqueued_at)
VALUES {rows}
ON CONFLICT (tag, job_id) DO UPDATE SET finished_at = excluded.finished_at WHERE old.finished_at <> excluded.finished_at
