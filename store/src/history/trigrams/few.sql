-- The rows with a text, where they are few. A cross join, so that SQLite looks up each that the index of trigrams names.
-- ?1 the text as a phrase, ?2 how many rows at most
SELECT jobs.id, jobs.finished_at, jobs.enqueued_at
FROM millstream_error_text AS found
CROSS JOIN millstream_job_errors AS errors ON errors.number = found.rowid
CROSS JOIN millstream_jobs AS jobs ON jobs.id = errors.job_id
WHERE found.millstream_error_text MATCH ?1
LIMIT ?2
