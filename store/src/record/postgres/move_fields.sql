-- The fields that an earlier run's payload gave, after a run that carries none.
UPDATE millstream_job_fields AS fields SET finished_at = jobs.finished_at
FROM millstream_staged AS staged
JOIN millstream_jobs AS jobs ON jobs.id = staged.id AND jobs.enqueued_at = staged.enqueued_at
WHERE staged.head AND staged.fields IS NULL AND staged.run > 1
    AND fields.job_id = jobs.id AND fields.finished_at <> jobs.finished_at
