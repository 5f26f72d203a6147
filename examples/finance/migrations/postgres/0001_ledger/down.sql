DROP TABLE statements;
DROP VIEW lines;
DROP TABLE transfers;
DROP TABLE accounts;
DROP FUNCTION transfers_move;
DROP FUNCTION transfers_stay;
