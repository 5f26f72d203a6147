-- Collation "C" makes texts compare by byte, as on SQLite.
CREATE TABLE courses (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    title text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX courses_by_title ON courses (title, id);
CREATE INDEX courses_by_time ON courses (created_at, id);

CREATE TABLE lessons (
    id uuid PRIMARY KEY,
    course_id uuid NOT NULL REFERENCES courses ON DELETE CASCADE,
    place bigint NOT NULL,
    title text COLLATE "C" NOT NULL,
    seconds bigint NOT NULL CHECK (seconds > 0),
    UNIQUE (course_id, place)
);

CREATE TABLE learners (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    email text COLLATE "C" NOT NULL UNIQUE,
    -- A name of the IANA database, such as Europe/Berlin.
    time_zone text COLLATE "C" NOT NULL,
    -- The streak as it was on the last active day, which is a day of the learner's calendar.
    streak bigint NOT NULL,
    active_on date,
    created_at timestamptz NOT NULL
);

CREATE TABLE enrolments (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    learner_id uuid NOT NULL REFERENCES learners ON DELETE CASCADE,
    course_id uuid NOT NULL REFERENCES courses ON DELETE CASCADE,
    -- The ids of the completed lessons, sorted.
    completed jsonb NOT NULL,
    position bigint NOT NULL,
    completed_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (learner_id, course_id)
);
CREATE INDEX enrolments_by_course ON enrolments (course_id, id);
CREATE INDEX enrolments_by_time ON enrolments (updated_at, id);

-- The key makes a mail that is sent twice one mail.
CREATE TABLE mails (
    key text COLLATE "C" PRIMARY KEY,
    learner_id uuid NOT NULL REFERENCES learners ON DELETE CASCADE,
    address text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    body text COLLATE "C" NOT NULL,
    sent_at timestamptz NOT NULL
);
CREATE INDEX mails_by_learner ON mails (learner_id, key);
