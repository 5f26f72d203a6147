DROP TABLE millstream_job_tags;
ALTER TABLE millstream_attempts DROP COLUMN log;
ALTER TABLE millstream_attempts DROP COLUMN progress;
DROP INDEX millstream_jobs_revived_from;
ALTER TABLE millstream_jobs DROP COLUMN revived_from;
ALTER TABLE millstream_jobs DROP COLUMN tags;
ALTER TABLE millstream_jobs DROP COLUMN trace_id;
ALTER TABLE millstream_jobs DROP COLUMN progress;
