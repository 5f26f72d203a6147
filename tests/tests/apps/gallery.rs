//! The gallery's programs together.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::Utc;
use gallery::samples::photograph;
use gallery::{Albums, ContactSheet, ProcessPhoto};
use hyper::{Request, StatusCode};
use millstream_queue::State;
use millstream_worker::{self as worker, Context, Failure, Worker};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::http::{self, get, post, post_request, refused, upload_request};
use crate::programs::{SOON, Site};

/// Asks for the album until it is as wanted.
pub(crate) async fn album_when(host: &str, id: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut album = Value::Null;
    let asking = async {
        loop {
            album = get(host, &format!("/api/albums/{id}")).await?;
            if wanted(&album) {
                return anyhow::Ok(());
            }
            // Asking is what a page without a socket does; there is nothing to wait on.
            sleep(Duration::from_millis(100)).await;
        }
    };
    let ended = timeout(4 * SOON, asking).await;
    ended.map_err(|_| anyhow::anyhow!("the album never came out as wanted; it is {album:#}"))??;
    Ok(album)
}

pub(crate) async fn new_album(host: &str, title: &str) -> Result<String> {
    let album = post(host, "/api/albums", &json!({ "title": title })).await?;
    Ok(album["id"].as_str().context("an album has an id")?.to_owned())
}

#[tokio::test]
async fn an_uploaded_photo_gets_thumbnails_facts_and_a_contact_sheet() -> Result<()> {
    let site = Site::new().await?;
    let (_gallery, host) = site.gallery(None).await?;
    let _worker = site.worker().await?;
    let id = new_album(&host, "One photo").await?;

    let path = format!("/api/albums/{id}/photos");
    let added =
        http::json(&host, upload_request(&path, "C:\\fakepath\\meadow.JPG", &photograph(0, 900, 600, 6)?)?).await?;
    assert_eq!(added["photos"][0]["name"], "meadow.JPG");

    let album = album_when(&host, &id, |album| album["contact_sheet"].is_string()).await?;
    assert_eq!((&album["ready"], &album["failed"], &album["total"]), (&json!(1), &json!(0), &json!(1)));
    let photo = &album["photos"][0];
    assert_eq!(photo["id"], added["photos"][0]["id"]);
    assert_eq!((&photo["width"], &photo["height"]), (&json!(900), &json!(600)));
    assert_eq!(photo["exif"]["camera"], "Millstream Meadow One");
    assert_eq!(photo["exif"]["taken"], "2024-01-01T06:00:00");
    assert!(photo["palette"].as_array().is_some_and(|colours| !colours.is_empty()));
    let sheet = album["contact_sheet"].as_str().unwrap_or_default();
    for (address, longer) in [("small", 320), ("medium", 800), ("large", 900)]
        .map(|(size, longer)| (photo["thumbs"][size].as_str().unwrap_or_default(), longer))
        .into_iter()
        .chain([(sheet, 284)])
    {
        let picture = image::load_from_memory(&http::file(&host, address).await?)?;
        assert_eq!(picture.width().max(picture.height()), longer, "{address}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_in_json() -> Result<()> {
    let site = Site::new().await?;
    let (_gallery, host) = site.gallery(None).await?;
    let id = new_album(&host, "Errors").await?;
    let nobody = Uuid::now_v7();
    let empty = site.new_folder("empty")?;
    let get = |path: &str| anyhow::Ok(Request::get(path).body(hyper::body::Bytes::new())?);
    let import = |folder: &str| post_request(&format!("/api/albums/{id}/import"), &json!({ "folder": folder }));
    let upload = |album: &str, name: &str| upload_request(&format!("/api/albums/{album}/photos"), name, b"bytes");
    let mut from_elsewhere = import("/tmp")?;
    from_elsewhere.headers_mut().insert("host", "gallery.example:80".parse()?);

    let cases = [
        (get("/api/albums/..%2f..%2fetc")?, StatusCode::BAD_REQUEST, "ids are UUIDs"),
        (get(&format!("/api/albums/{nobody}"))?, StatusCode::NOT_FOUND, "there is no album"),
        (get(&format!("/files/{id}/{nobody}/small.jpg"))?, StatusCode::NOT_FOUND, "no such picture"),
        (get(&format!("/files/{id}/{nobody}/..%2foriginal"))?, StatusCode::NOT_FOUND, "is not small.jpg"),
        (get("/nowhere")?, StatusCode::NOT_FOUND, "nothing at /nowhere"),
        (post_request("/api/albums", &json!({"title": " "}))?, StatusCode::BAD_REQUEST, "1 to 120 characters"),
        (post_request("/api/albums", &json!({}))?, StatusCode::UNPROCESSABLE_ENTITY, "missing field `title`"),
        (upload(&id, "notes.txt")?, StatusCode::UNSUPPORTED_MEDIA_TYPE, "\"notes.txt\" is not a photo"),
        (upload("x", "a.jpg")?, StatusCode::BAD_REQUEST, "ids are UUIDs"),
        (upload(&nobody.to_string(), "a.jpg")?, StatusCode::NOT_FOUND, "there is no album"),
        (import("/no/such/folder")?, StatusCode::UNPROCESSABLE_ENTITY, "/no/such/folder\" can't be read"),
        (import(&empty.display().to_string())?, StatusCode::UNPROCESSABLE_ENTITY, "has no .jpg"),
        (import("relative")?, StatusCode::BAD_REQUEST, "not an absolute path"),
        (from_elsewhere, StatusCode::FORBIDDEN, "only on the machine itself"),
    ];
    for (request, status, words) in cases {
        let what = format!("{} {}", request.method(), request.uri());
        let (answered, message) = refused(&host, request).await?;
        assert_eq!(answered, status, "{what}: {message}");
        assert!(message.contains(words), "{what}: {message}");
    }
    let album = http::get(&host, &format!("/api/albums/{id}")).await?;
    assert_eq!(album["total"], 0, "nothing of it was added");
    Ok(())
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_and_leaves_nothing_behind() -> Result<()> {
    let site = Site::new().await?;
    let (_gallery, host) = site.gallery(None).await?;
    let id = new_album(&host, "Too large").await?;
    let huge = vec![0; 100_000_001];
    let (status, message) =
        refused(&host, upload_request(&format!("/api/albums/{id}/photos"), "huge.jpg", &huge)?).await?;
    assert_eq!((status, message.contains("larger than 100 MB")), (StatusCode::PAYLOAD_TOO_LARGE, true), "{message}");
    let incoming = site.data().join("albums").join(&id).join("incoming");
    assert_eq!(fs::read_dir(incoming)?.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_job_that_runs_twice_changes_nothing_and_draws_no_second_sheet() -> Result<()> {
    let site = Site::new().await?;
    let (_gallery, host) = site.gallery(None).await?;
    let _worker = site.worker().await?;
    let id = new_album(&host, "Twice").await?;
    let path = format!("/api/albums/{id}/photos");
    let added = http::json(&host, upload_request(&path, "twice.jpg", &photograph(5, 600, 400, 3)?)?).await?;
    let photo = added["photos"][0]["id"].as_str().context("a photo has an id")?.parse()?;
    let before = album_when(&host, &id, |album| album["contact_sheet"].is_string()).await?;

    let again = site.client().await?.push(ProcessPhoto { album: id.parse()?, photo }).await?;
    let store = site.store().await?;
    timeout(SOON, async {
        while store.history().id(again).state(State::Completed).count().await? == 0 {
            sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    })
    .await??;
    assert_eq!(get(&host, &format!("/api/albums/{id}")).await?, before);
    assert_eq!(store.history().job::<ProcessPhoto>().count().await?, 2);
    assert_eq!(store.history().job::<ContactSheet>().count().await?, 1);
    Ok(())
}

/// Ends the job as a time-out or a poisoned worker would: dead, and nobody has settled the photo.
async fn die_silently(_job: ProcessPhoto, _cx: Context<()>) -> worker::Result {
    Err(Failure::dead("timed out"))
}

#[tokio::test]
async fn a_photo_whose_job_died_unseen_is_settled_from_the_history() -> Result<()> {
    let site = Site::new().await?;
    let (_gallery, host) = site.gallery(None).await?;
    let id = new_album(&host, "Gave up").await?;
    let worker = Worker::new(site.client().await?, ()).handle(die_silently);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(worker.run_until(stopped));
    http::json(&host, upload_request(&format!("/api/albums/{id}/photos"), "doomed.png", b"whatever")?).await?;

    let album = album_when(&host, &id, |album| album["failed"] == 1).await?;
    assert_eq!(album["photos"][0]["error"], "gave up: timed out");
    drop(stop);
    running.await??;
    Ok(())
}

#[tokio::test]
async fn photos_that_a_dying_gallery_had_not_pushed_are_pushed_by_the_next() -> Result<()> {
    let site = Site::new().await?;
    let albums = Albums::open(site.data())?;
    let album = albums.create("Left behind", Utc::now())?.id;
    let staged = albums.stage(album, "left.jpg")?;
    fs::write(staged.original(), photograph(1, 300, 200, 1)?)?;
    albums.add(vec![staged])?; // and here it died
    let (_gallery, host) = site.gallery(None).await?;
    let _worker = site.worker().await?;
    album_when(&host, &album.to_string(), |album| album["ready"] == 1).await?;
    Ok(())
}

#[tokio::test]
async fn gallery_and_worker_end_well_when_asked_to() -> Result<()> {
    let site = Site::new().await?;
    let (mut gallery, _) = site.gallery(None).await?;
    let mut worker = site.worker().await?;
    for process in [&mut gallery, &mut worker] {
        let status = process.shut_down(SOON).await;
        assert!(status.success(), "{status}: {}", process.tail());
    }
    Ok(())
}
