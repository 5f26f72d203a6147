INSERT INTO millstream_job_tags (tag, job_id, finished_at, enqueued_at)
SELECT tag, id, finished_at, enqueued_at FROM bench_staged
ON CONFLICT (tag, job_id) DO NOTHING
