INSERT INTO millstream_job_fields (job_id, field, kind, value, finished_at, enqueued_at)
SELECT id, field, kind, value, finished_at, enqueued_at FROM bench_staged
ON CONFLICT (job_id, field) DO NOTHING
