-- The same where the head has decided over its job's row, which then shows what the head says.
INSERT INTO millstream_job_fields AS old (job_id, field, kind, value, finished_at, enqueued_at)
VALUES {rows}
ON CONFLICT (job_id, field) DO UPDATE SET finished_at = excluded.finished_at WHERE old.finished_at <> excluded.finished_at
