DROP TABLE statements;
DROP VIEW lines;
DROP TABLE transfers;
DROP TABLE accounts;
