DROP TABLE mails;
DROP TABLE enrolments;
DROP TABLE learners;
DROP TABLE lessons;
DROP TABLE courses;
