-- A job pushed again under its key, after the time for which that was remembered, keeps the partition of its row. Ids of
-- version 7 are made anew by each push.
UPDATE millstream_staged AS staged SET enqueued_at = jobs.enqueued_at
FROM millstream_jobs AS jobs
WHERE jobs.id = staged.id AND jobs.enqueued_at <> staged.enqueued_at AND substr(staged.id::text, 15, 1) <> '7'
