DROP TABLE millstream_statistics;
