DROP TABLE millstream_job_fields;
DROP INDEX millstream_job_tags_by_time;
ALTER TABLE millstream_job_tags DROP COLUMN finished_at, DROP COLUMN enqueued_at;

CREATE TABLE millstream_attempts_whole (LIKE millstream_attempts);
INSERT INTO millstream_attempts_whole SELECT * FROM millstream_attempts;
DROP TABLE millstream_attempts;
ALTER TABLE millstream_attempts_whole RENAME TO millstream_attempts;
ALTER TABLE millstream_attempts DROP COLUMN enqueued_at;
ALTER TABLE millstream_attempts ADD CONSTRAINT millstream_attempts_pkey PRIMARY KEY (job_id, run);

CREATE TABLE millstream_jobs_whole (LIKE millstream_jobs);
INSERT INTO millstream_jobs_whole SELECT * FROM millstream_jobs;
DROP TABLE millstream_jobs;
ALTER TABLE millstream_jobs_whole RENAME TO millstream_jobs;
ALTER TABLE millstream_jobs ADD CONSTRAINT millstream_jobs_pkey PRIMARY KEY (id);
CREATE INDEX millstream_jobs_by_time ON millstream_jobs (finished_at, id);
CREATE INDEX millstream_jobs_by_state ON millstream_jobs (state, finished_at, id);
CREATE INDEX millstream_jobs_by_kind ON millstream_jobs (kind, finished_at, id);
CREATE INDEX millstream_jobs_by_queue ON millstream_jobs (queue, finished_at, id);
CREATE INDEX millstream_jobs_revived_from ON millstream_jobs (revived_from) WHERE revived_from IS NOT NULL;
