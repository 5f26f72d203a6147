DROP TABLE millstream_rejected;
DROP TABLE millstream_attempts;
DROP TABLE millstream_jobs;
