-- The runs that this transaction inserted; the others were recorded before.
SELECT DISTINCT attempts.job_id, attempts.run
FROM millstream_attempts AS attempts
JOIN millstream_staged AS staged
    ON attempts.job_id = staged.id AND attempts.run = staged.run AND attempts.enqueued_at = staged.enqueued_at
WHERE attempts.xmin = pg_current_xact_id()::xid
