-- Runs counted per kind, queue, state and time, and how long they waited and took. All rows of a bucket add up: a recorder
-- only appends (`folded` false), and from time to time rows are folded into one, later into hours.
CREATE TABLE millstream_statistics (
    id uuid PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    -- Width and beginning of the bucket in which the runs ended; the width is 60 or 3600.
    seconds bigint NOT NULL,
    bucket timestamptz NOT NULL,
    runs bigint NOT NULL,
    -- Sketches.
    waits bytea NOT NULL,
    run_times bytea NOT NULL,
    folded boolean NOT NULL
);

CREATE INDEX millstream_statistics_by_time ON millstream_statistics (bucket);
CREATE INDEX millstream_statistics_by_kind ON millstream_statistics (kind, bucket);
CREATE INDEX millstream_statistics_to_fold ON millstream_statistics (seconds, folded, bucket);
