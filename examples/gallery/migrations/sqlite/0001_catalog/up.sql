-- What the gallery knows of its albums beside the folder that holds them.
CREATE TABLE gallery_albums (
    id BLOB NOT NULL PRIMARY KEY,
    title TEXT NOT NULL,
    photos INTEGER NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE TABLE gallery_photos (
    id BLOB NOT NULL PRIMARY KEY,
    album BLOB NOT NULL REFERENCES gallery_albums (id),
    name TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX gallery_photos_by_album ON gallery_photos (album, id);
