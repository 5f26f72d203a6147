DROP TABLE deals;
DROP TABLE contacts;
DROP TABLE bad_rows;
DROP TABLE imports;
DROP TABLE companies;
