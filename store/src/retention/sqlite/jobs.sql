-- Jobs. ?1 JSON array of ids in hexadecimal
DELETE FROM millstream_jobs WHERE id IN (SELECT unhex(value) FROM json_each(?1))
