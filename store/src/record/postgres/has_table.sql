-- Whether the partition is there. $1 its name
SELECT to_regclass($1) IS NOT NULL
