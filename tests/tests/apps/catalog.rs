//! What the gallery keeps in SQL: rows with their jobs, the jobs' history, its settings.

use std::fs;

use anyhow::{Context as _, Result};
use gallery::ProcessPhoto;
use gallery::samples::photograph;
use hyper::StatusCode;
use millstream_tests::Database;
use serde_json::json;

use crate::gallery::{album_when, new_album};
use crate::http::{self, get, put_request, refused, upload_request};
use crate::programs::Site;

async fn upload(host: &str, album: &str, name: &str, file: &[u8]) -> Result<String> {
    let added = http::json(host, upload_request(&format!("/api/albums/{album}/photos"), name, file)?).await?;
    Ok(added["photos"][0]["id"].as_str().context("a photo has an id")?.to_owned())
}

#[tokio::test]
async fn a_photo_whose_job_was_written_with_its_row_is_not_pushed_again_after_a_crash() -> Result<()> {
    let site = Site::new().await?;
    let (mut gallery, host) = site.gallery(None).await?;
    let id = new_album(&host, "Once").await?;
    let photo = upload(&host, &id, "once.jpg", &photograph(3, 300, 200, 1)?).await?;
    gallery.kill().await;
    // As if it had died between the commit and the removal of its mark.
    fs::write(site.data().join("albums").join(&id).join("unpushed").join(&photo), [])?;

    let (_gallery, host) = site.gallery(None).await?;
    let _worker = site.worker().await?;
    album_when(&host, &id, |album| album["contact_sheet"].is_string()).await?;
    let store = site.store().await?;
    assert_eq!(store.outbox().await?.waiting, 0);
    album_history(&host, &id, 2).await?;
    assert_eq!(store.history().job::<ProcessPhoto>().count().await?, 1);
    Ok(())
}

/// The album's history once it has so many jobs.
async fn album_history(host: &str, id: &str, jobs: usize) -> Result<serde_json::Value> {
    let path = format!("/api/albums/{id}/history");
    let asking = async {
        loop {
            let history = get(host, &path).await?;
            if history["jobs"].as_array().is_some_and(|found| found.len() == jobs) {
                return anyhow::Ok(history);
            }
            // The recorder tells nobody when it has written.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::programs::SOON, asking).await?
}

#[tokio::test]
async fn the_history_of_an_album_shows_its_jobs_on_both_databases() -> Result<()> {
    let postgres = Database::postgres().await?;
    for database in [None, Some(postgres.url.clone())] {
        let mut site = Site::new().await?;
        site.database = database.unwrap_or(site.database);
        let (_gallery, host) = site.gallery(None).await?;
        let _worker = site.worker().await?;
        let id = new_album(&host, "History").await?;
        assert_eq!(get(&host, &format!("/api/albums/{id}/history")).await?, json!({ "jobs": [], "next": null }));
        upload(&host, &id, "meadow.jpg", &photograph(4, 300, 200, 1)?).await?;
        album_when(&host, &id, |album| album["contact_sheet"].is_string()).await?;
        upload(&host, &id, "broken.png", b"no picture").await?;
        album_when(&host, &id, |album| album["failed"] == 1).await?;

        let history = album_history(&host, &id, 4).await?; // a second sheet was drawn
        let jobs = history["jobs"].as_array().context("a list")?;
        let job = |photo: &str| jobs.iter().find(|job| job["photo"] == photo).context("a job");
        let meadow = job("meadow.jpg")?;
        assert_eq!((&meadow["state"], &meadow["kind"]), (&json!("completed"), &json!("process_photo")));
        assert!(meadow["took_ms"].is_i64(), "{meadow}");
        let broken = job("broken.png")?;
        assert_eq!(broken["state"], "dead");
        assert!(broken["error"].as_str().is_some_and(|error| error.contains("broken.png")), "{broken}");
        assert_eq!(jobs.iter().filter(|job| job["kind"] == "contact_sheet").count(), 2);
    }
    Ok(())
}

#[tokio::test]
async fn settings_are_changed_by_who_has_seen_the_last_change() -> Result<()> {
    let site = Site::new().await?;
    let (_gallery, host) = site.gallery(None).await?;
    assert_eq!(get(&host, "/api/settings").await?, json!({ "title": "Gallery", "version": 0 }));
    let change =
        |title: &str, version: i64| put_request("/api/settings", &json!({ "title": title, "version": version }));
    let first = http::json(&host, change("  Holidays ", 0)?).await?;
    assert_eq!(first["title"], "Holidays");
    let version = first["version"].as_i64().context("a version")?;
    for stale in [0, version + 1] {
        let (status, message) = refused(&host, change("Mine", stale)?).await?;
        assert_eq!(status, StatusCode::CONFLICT, "{message}");
    }
    for wrong in ["", "a\0b", &"x".repeat(61)] {
        assert_eq!(refused(&host, change(wrong, version)?).await?.0, StatusCode::BAD_REQUEST);
    }
    assert!(http::json(&host, change("Family", version)?).await?["version"].as_i64() > Some(version));
    assert_eq!(get(&host, "/api/config").await?["title"], "Family");
    let (status, _) = refused(&host, hyper::Request::get("/api/albums/x/history").body(Default::default())?).await?;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let id = new_album(&host, "Cursor").await?;
    let wrong = hyper::Request::get(format!("/api/albums/{id}/history?after=zz")).body(Default::default())?;
    assert_eq!(refused(&host, wrong).await?.0, StatusCode::BAD_REQUEST);
    Ok(())
}
