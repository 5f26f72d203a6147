-- The searchable fields of jobs. ?1 JSON array of ids in hexadecimal
DELETE FROM millstream_job_fields WHERE job_id IN (SELECT unhex(value) FROM json_each(?1))
