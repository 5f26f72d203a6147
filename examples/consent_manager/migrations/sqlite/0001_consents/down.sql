DROP TABLE exports;
DROP TABLE suppressions;
DROP VIEW consents;
DROP TABLE chain;
-- Dropping a table deletes its rows, which its own triggers would refuse where foreign keys are checked.
DROP TRIGGER records_are_kept;
DROP TRIGGER texts_are_kept;
DROP TABLE records;
DROP TABLE texts;
