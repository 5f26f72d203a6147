DROP TABLE exports;
DROP TABLE suppressions;
DROP VIEW consents;
DROP TABLE chain;
DROP TABLE records;
DROP TABLE texts;
DROP FUNCTION consents_are_append_only();
