-- What the gallery knows of its albums beside the folder that holds them.
CREATE TABLE gallery_albums (
    id uuid PRIMARY KEY,
    title text NOT NULL,
    photos bigint NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE gallery_photos (
    id uuid PRIMARY KEY,
    album uuid NOT NULL REFERENCES gallery_albums (id),
    name text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX gallery_photos_by_album ON gallery_photos (album, id);
