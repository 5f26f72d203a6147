DROP TABLE gallery_photos;
DROP TABLE gallery_albums;
