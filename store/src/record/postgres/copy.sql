COPY millstream_staged FROM STDIN (FORMAT binary)
