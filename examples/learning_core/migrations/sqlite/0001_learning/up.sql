-- Times are UTC text of fixed width, so that they sort; days are text such as 2026-03-29.
CREATE TABLE courses (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    title TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX courses_by_title ON courses (title, id);
CREATE INDEX courses_by_time ON courses (created_at, id);

CREATE TABLE lessons (
    id BLOB NOT NULL PRIMARY KEY,
    course_id BLOB NOT NULL REFERENCES courses ON DELETE CASCADE,
    place INTEGER NOT NULL,
    title TEXT NOT NULL,
    seconds INTEGER NOT NULL CHECK (seconds > 0),
    UNIQUE (course_id, place)
) STRICT;

CREATE TABLE learners (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE,
    -- A name of the IANA database, such as Europe/Berlin.
    time_zone TEXT NOT NULL,
    -- The streak as it was on the last active day, which is a day of the learner's calendar.
    streak INTEGER NOT NULL,
    active_on TEXT,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE enrolments (
    id BLOB NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    learner_id BLOB NOT NULL REFERENCES learners ON DELETE CASCADE,
    course_id BLOB NOT NULL REFERENCES courses ON DELETE CASCADE,
    -- The ids of the completed lessons, sorted.
    completed TEXT NOT NULL,
    position INTEGER NOT NULL,
    completed_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (learner_id, course_id)
) STRICT;
CREATE INDEX enrolments_by_course ON enrolments (course_id, id);
CREATE INDEX enrolments_by_time ON enrolments (updated_at, id);

-- The key makes a mail that is sent twice one mail.
CREATE TABLE mails (
    key TEXT NOT NULL PRIMARY KEY,
    learner_id BLOB NOT NULL REFERENCES learners ON DELETE CASCADE,
    address TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    sent_at TEXT NOT NULL
) STRICT;
CREATE INDEX mails_by_learner ON mails (learner_id, key);
