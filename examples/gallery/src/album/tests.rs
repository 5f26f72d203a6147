use std::fs;

use chrono::Utc;
use tempfile::TempDir;

use super::*;
use crate::picture::Facts;

fn albums() -> (TempDir, Albums, Uuid) {
    let data = tempfile::tempdir().unwrap();
    let albums = Albums::open(data.path()).unwrap();
    let album = albums.create("Summer", Utc::now()).unwrap().id;
    (data, albums, album)
}

fn staged(albums: &Albums, album: Uuid, name: &str) -> Staged {
    let staged = albums.stage(album, name).unwrap();
    fs::write(staged.original(), b"bytes").unwrap();
    staged
}

#[test]
fn a_staged_photo_is_part_of_the_album_only_once_it_is_added() {
    let (_data, albums, album) = albums();
    drop(staged(&albums, album, "dropped.jpg"));
    let kept = staged(&albums, album, "kept.jpg");
    assert_eq!(albums.progress(album).unwrap().total, 0);
    let added = albums.add(vec![kept]).unwrap();
    assert_eq!(albums.photos(album).unwrap(), added);
    assert_eq!(fs::read(albums.original(album, added[0].id)).unwrap(), b"bytes");
}

#[test]
fn a_name_is_stripped_to_its_last_part_and_never_becomes_a_path() {
    let (data, albums, album) = albums();
    let names = ["../../../etc/evil.jpg", "C:\\fakepath\\holiday.JPG", "<img src=x onerror=alert(1)>.png", "..jpg"];
    let added = albums.add(names.map(|name| staged(&albums, album, name)).into()).unwrap();
    let names: Vec<&str> = added.iter().map(|photo| photo.name.as_str()).collect();
    assert_eq!(names, ["evil.jpg", "holiday.JPG", "<img src=x onerror=alert(1)>.png", "..jpg"]);
    assert!(fs::read_dir(data.path()).unwrap().count() == 1, "everything is below albums/");
    for name in ["notes.txt", "", "jpg", "photo.jpg/", "archive.jpg.zip"] {
        assert!(matches!(albums.stage(album, name), Err(AlbumError::NotAPhotoName(_))), "{name:?}");
    }
}

#[test]
fn the_album_is_complete_when_its_last_photo_is_settled_well_or_badly() {
    let (_data, albums, album) = albums();
    let photos = albums.add(vec![staged(&albums, album, "a.jpg"), staged(&albums, album, "b.png")]).unwrap();
    let half = albums.settle(album, photos[0].id, &Outcome::Ready(Facts::default())).unwrap();
    assert_eq!((half.ready, half.failed, half.total, half.is_complete()), (1, 0, 2, false));
    let whole = albums.settle(album, photos[1].id, &Outcome::Failed("damaged".into())).unwrap();
    assert_eq!((whole.ready, whole.failed, whole.total, whole.is_complete()), (1, 1, 2, true));
}

#[test]
fn settling_again_replaces_the_outcome() {
    let (_data, albums, album) = albums();
    let photo = albums.add(vec![staged(&albums, album, "a.jpg")]).unwrap()[0].id;
    albums.settle(album, photo, &Outcome::Failed("disk full".into())).unwrap();
    let progress = albums.settle(album, photo, &Outcome::Ready(Facts::default())).unwrap();
    assert_eq!((progress.ready, progress.failed), (1, 0));
    assert_eq!(albums.outcome(album, photo).unwrap(), Some(Outcome::Ready(Facts::default())));
}

#[test]
fn a_folder_is_imported_in_the_order_of_names_whatever_the_case_of_the_extension() {
    let (_data, albums, album) = albums();
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.JPG", "a.png", "c.WebP", "d.jpeg", "notes.txt", ".hidden"] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    fs::create_dir(folder.path().join("folder.jpg")).unwrap();
    let added = albums.add(albums.stage_folder(album, folder.path()).unwrap()).unwrap();
    let names: Vec<&str> = added.iter().map(|photo| photo.name.as_str()).collect();
    assert_eq!(names, ["a.png", "b.JPG", "c.WebP", "d.jpeg"]);
    assert_eq!(albums.photos(album).unwrap(), added);
}

#[test]
fn a_missing_and_an_empty_folder_are_told_apart() {
    let (data, albums, album) = albums();
    let missing = albums.stage_folder(album, &data.path().join("nowhere")).unwrap_err();
    assert!(matches!(missing, AlbumError::NoFolder { .. }), "{missing}");
    let empty = albums.stage_folder(album, data.path()).unwrap_err();
    assert!(matches!(empty, AlbumError::EmptyFolder(_)), "{empty}");
}

#[test]
fn a_photo_whose_push_was_never_confirmed_is_found_at_the_next_start() {
    let (_data, albums, album) = albums();
    let pushed = albums.add(vec![staged(&albums, album, "pushed.jpg")]).unwrap();
    albums.pushed(album, &[pushed[0].id]).unwrap();
    let forgotten = albums.add(vec![staged(&albums, album, "forgotten.jpg")]).unwrap();
    std::mem::forget(staged(&albums, album, "half.jpg"));
    assert_eq!(albums.forgotten(album).unwrap(), [forgotten[0].id]);
    albums.withdraw(album, &[forgotten[0].id]).unwrap();
    assert!(albums.forgotten(album).unwrap().is_empty());
    assert_eq!(albums.photos(album).unwrap(), pushed);
}

#[test]
fn a_late_sheet_does_not_replace_a_newer_one() {
    let (_data, albums, album) = albums();
    assert_eq!(albums.newest_sheet(album).unwrap(), None);
    albums.write_sheet(album, 2, b"two").unwrap();
    albums.write_sheet(album, 24, b"all").unwrap();
    albums.write_sheet(album, 2, b"late").unwrap();
    assert_eq!(albums.newest_sheet(album).unwrap(), Some(24));
    assert_eq!(fs::read(albums.sheet(album, 24)).unwrap(), b"all");
}
