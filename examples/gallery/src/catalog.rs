//! The albums in SQL: an album's row, its photos' and their jobs are written in one transaction.

use diesel::prelude::*;
use millstream_store::{Data, Error, Id, List, Migrations, Store, Time, model};

use crate::{Album, Photo, ProcessPhoto};

/// The gallery's tables; they stand beside Millstream's.
pub const MIGRATIONS: Migrations = millstream_store::embed_migrations!("gallery": "0001" "catalog");

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    gallery_albums (id) { id -> DbUuid, title -> Text, photos -> BigInt, created_at -> DbTime }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    gallery_photos (id) { id -> DbUuid, album -> DbUuid, name -> Text, created_at -> DbTime }
}

#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = gallery_albums)]
struct AlbumRow {
    id: Id,
    title: String,
    photos: i64,
    created_at: Time,
}

#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = gallery_photos)]
struct PhotoRow {
    id: Id,
    album: Id,
    name: String,
    created_at: Time,
}

model! { AlbumRow in gallery_albums { key: id as Id, created: created_at } }
model! { PhotoRow in gallery_photos { key: id as Id, created: created_at, filters: { id: id } } }

/// Photos that one look-up asks for.
const LOOKED_UP: usize = 1000;

/// Adds photos whose originals are in the album's folder, and pushes their jobs through the outbox: all of it or nothing, and
/// those that were added before are passed over. Returns how many are new.
pub async fn add_photos(store: &Store, album: &Album, photos: &[Photo]) -> Result<usize, Error> {
    let (album, photos) = (album.clone(), photos.to_vec());
    store
        .transaction(async move |tx| {
            let id = Id(album.id);
            let mut new: Vec<PhotoRow> = Vec::new();
            for some in photos.chunks(LOOKED_UP) {
                let ids = List::new().any_of("id", some.iter().map(|photo| photo.id)).limit(LOOKED_UP as u32);
                let known = tx.list::<PhotoRow>(ids).await?.rows;
                let is_new = |photo: &&Photo| known.iter().all(|row| row.id.0 != photo.id);
                new.extend(some.iter().filter(is_new).map(|photo| PhotoRow {
                    id: Id(photo.id),
                    album: id,
                    name: photo.name.clone(),
                    created_at: Time::default(),
                }));
            }
            let row = tx.get::<AlbumRow>(id).await?;
            let before = row.as_ref().map_or(0, |row| row.photos);
            let photos = before + new.len() as i64;
            tx.upsert(&AlbumRow { id, title: album.title.clone(), photos, created_at: Time(album.created) }).await?;
            let count = tx.insert_many(new.clone()).await?;
            for photo in new {
                let job = ProcessPhoto { album: album.id, photo: photo.id.0 };
                tx.push(job).tags([album.id.to_string()]).await?;
            }
            Ok(count)
        })
        .await
}
