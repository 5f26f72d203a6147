//! The main job on what cameras make: large, turned in all eight ways, and with rubbish among it.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use gallery::picture::Size;
use gallery::samples::{SUN, photograph};
use gallery::{ContactSheet, ProcessPhoto};
use image::RgbImage;
use millstream_queue::State;
use serde_json::{Value, json};

use crate::gallery::{album_when, new_album};
use crate::http::{file, post};
use crate::odd_files::{bomb, sixty_bytes, sliver};
use crate::programs::Site;
use crate::socket::Socket;

const PHOTOGRAPHS: u32 = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn photographs_held_in_all_eight_ways_come_out_upright_and_rubbish_hurts_nobody() -> Result<()> {
    let site = Site::new().await?;
    let folder = site.new_folder("camera")?;
    draw(&folder).await?;
    let (_signaling, socket) = site.signaling().await?;
    let (_gallery, host) = site.gallery(Some(&socket)).await?;
    let _workers = [site.worker().await?, site.worker().await?];
    let id = new_album(&host, "Twelve megapixels").await?;
    let mut events = Socket::connect(&socket).await?;
    events.subscribe("photo_ready", Some(&id)).await?;
    events.subscribe("job_progress", Some(&id)).await?;

    let added = post(&host, &format!("/api/albums/{id}/import"), &json!({ "folder": folder })).await?;
    let added: HashSet<String> = texts(&added["photos"], "id").collect();
    assert_eq!(added.len(), 27);

    // Every photo is heard of, and so is the whole album with its sheet; two topics have no common order.
    let (mut heard, mut complete) = (HashSet::new(), None);
    while heard.len() < added.len() || complete.is_none() {
        let event = events.hear().await?;
        let data = &event["data"];
        match event["topic"].as_str() {
            Some("photo_ready") => drop(heard.insert(data["photo"].as_str().unwrap_or_default().to_owned())),
            Some("job_progress") if data["contact_sheet"] == true => complete = Some(data.clone()),
            _ => {}
        }
    }
    assert_eq!(heard, added);
    let last = json!({"album": id, "done": 27, "failed": 2, "total": 27, "contact_sheet": true});
    assert_eq!(complete, Some(last));

    let album = album_when(&host, &id, |album| album["contact_sheet"].is_string()).await?;
    for photo in album["photos"].as_array().context("an album has photos")? {
        let name = photo["name"].as_str().unwrap_or_default();
        match name {
            "bomb.png" => ends_with(photo, "60000 x 60000 pixels are 3600 megapixels; at most 120 are accepted")?,
            "sixty-bytes.jpg" => {
                ensure!(photo["error"].as_str().is_some_and(|why| why.starts_with("the file is damaged")))
            }
            "sliver.png" => ensure!(photo["state"] == "ready" && photo["height"] == 30_000),
            _ => {
                for size in Size::ALL {
                    let address = photo["thumbs"][size.as_str()].as_str().context("a photo has thumbnails")?;
                    let thumbnail = image::load_from_memory(&file(&host, address).await?)?.into_rgb8();
                    upright(&thumbnail, size, name.contains("tall")).with_context(|| format!("{name}, {size:?}"))?;
                }
            }
        }
    }

    let store = site.store().await?;
    // The sheet's job was the last to finish, and outcomes are recorded in the order of their finish per queue.
    while store.history().state(State::Completed).count().await? + store.history().state(State::Dead).count().await?
        < 28
    {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(store.history().job::<ProcessPhoto>().state(State::Completed).count().await?, 25);
    let dead = store.history().job::<ProcessPhoto>().state(State::Dead).await?;
    let mut errors: Vec<&str> = dead.rows.iter().filter_map(|job| job.error.as_deref()).collect();
    errors.sort_unstable();
    assert_eq!(errors.len(), 2);
    assert!(errors[0].starts_with("bomb.png: too large") && errors[1].starts_with("sixty-bytes.jpg: "), "{errors:?}");
    assert_eq!(store.history().job::<ContactSheet>().state(State::Completed).count().await?, 1);
    Ok(())
}

/// 24 photographs of 12 megapixels, a third of them taller than wide, and three files that are none.
async fn draw(folder: &Path) -> Result<()> {
    let tasks = [0, 1].map(|half| {
        let folder = folder.to_owned();
        tokio::task::spawn_blocking(move || -> Result<()> {
            for n in (half..PHOTOGRAPHS).step_by(2) {
                let tall = n % 3 == 2;
                let (width, height) = if tall { (3000, 4000) } else { (4000, 3000) };
                let jpeg = photograph(n, width, height, (n % 8 + 1) as u16)?;
                if n == 0 {
                    fs::write(folder.join("sixty-bytes.jpg"), sixty_bytes(&jpeg))?;
                }
                let shape = if tall { "tall" } else { "wide" };
                fs::write(folder.join(format!("{shape}-{n:02}.jpg")), jpeg)?;
            }
            Ok(())
        })
    });
    for task in tasks {
        task.await??;
    }
    fs::write(folder.join("bomb.png"), bomb())?;
    fs::write(folder.join("sliver.png"), sliver())?;
    Ok(())
}

fn upright(picture: &RgbImage, size: Size, tall: bool) -> Result<()> {
    let (longer, shorter) = (size.pixels(), size.pixels() * 3 / 4);
    let wanted = if tall { (shorter, longer) } else { (longer, shorter) };
    ensure!(picture.dimensions() == wanted, "is {:?} instead of {wanted:?}", picture.dimensions());
    let at = |u: f32, v: f32| {
        let (x, y) = (u * picture.width() as f32, v * picture.height() as f32);
        picture.get_pixel(x as u32, y as u32).0
    };
    let sun = |[r, g, b]: [u8; 3]| r > 235 && g > 215 && b > 130;
    ensure!(sun(at(SUN.0, SUN.1)), "no sun in the upper left");
    ensure!(!sun(at(1.0 - SUN.0, SUN.1)), "mirrored");
    ensure!(!sun(at(SUN.0, 1.0 - SUN.1)), "upside down");
    let [r, g, b] = at(0.5, 0.97);
    ensure!(g > r && g > b, "no meadow below");
    Ok(())
}

fn ends_with(photo: &Value, words: &str) -> Result<()> {
    ensure!(photo["error"].as_str().is_some_and(|error| error.ends_with(words)), "{photo}");
    Ok(())
}

fn texts<'a>(list: &'a Value, field: &'a str) -> impl Iterator<Item = String> + 'a {
    list.as_array().into_iter().flatten().filter_map(move |each| each[field].as_str().map(str::to_owned))
}
