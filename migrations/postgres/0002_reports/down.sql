DROP TABLE millstream_job_tags;
ALTER TABLE millstream_attempts DROP COLUMN log, DROP COLUMN progress;
ALTER TABLE millstream_jobs DROP COLUMN tags, DROP COLUMN trace_id, DROP COLUMN progress, DROP COLUMN revived_from;
