-- Runs counted per kind, queue, state and time, and how long they waited and took. All rows of a bucket add up: a recorder
-- only appends (`folded` 0), and from time to time rows are folded into one, later into hours.
CREATE TABLE millstream_statistics (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    state TEXT NOT NULL,
    -- Width and beginning of the bucket in which the runs ended; the width is 60 or 3600.
    seconds INTEGER NOT NULL,
    bucket TEXT NOT NULL,
    runs INTEGER NOT NULL,
    -- Sketches.
    waits BLOB NOT NULL,
    run_times BLOB NOT NULL,
    folded INTEGER NOT NULL
) STRICT;

CREATE INDEX millstream_statistics_by_time ON millstream_statistics (bucket);
CREATE INDEX millstream_statistics_by_kind ON millstream_statistics (kind, bucket);
CREATE INDEX millstream_statistics_to_fold ON millstream_statistics (seconds, folded, bucket);
