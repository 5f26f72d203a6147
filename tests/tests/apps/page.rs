//! The gallery's page in a browser.

use std::fs;

use anyhow::{Context, Result};
use gallery::samples::photograph;
use millstream_tests::free_port;
use serde_json::Value;

use crate::browser::Browser;
use crate::programs::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uploaded_photo_is_seen_to_finish_without_a_reload() -> Result<()> {
    let site = Site::new().await?;
    let (_signaling, url) = site.signaling().await?;
    let (_gallery, host) = site.gallery(Some(&url)).await?;
    let files = site.new_folder("files")?;
    let good = files.join("meadow.jpg");
    fs::write(&good, photograph(2, 1600, 1200, 5)?)?;
    let bad = files.join("<img src=x onerror=document.title=1>.png");
    fs::write(&bad, "no picture at all")?;

    let browser = Browser::start().await?;
    let page = &browser.page;
    page.goto(&format!("http://{host}/")).await?;
    browser.find("#new-album input").await?.send_keys("A day out").await?;
    browser.find("#new-album button").await?.click().await?;
    browser.find("#live[data-state=live]").await?;
    assert_eq!(browser.text("h1").await?, "A day out");
    // What a reload would lose.
    page.execute("window.untouched = true", vec![]).await?;

    let input = page.find(fantoccini::Locator::Id("files")).await?;
    input.send_keys(&format!("{}\n{}", good.display(), bad.display())).await?;
    browser.find(".photo[data-state=waiting]").await?;
    assert_eq!(page.execute("return document.querySelectorAll('.photo[data-state=ready]').length", vec![]).await?, 0);
    let _worker = site.worker().await?; // only now is there one

    browser.find(".photo[data-state=ready] img").await?;
    browser.find(".photo[data-state=failed]").await?;
    browser.find("#photos[data-done=true]").await?;
    browser.find("#sheet img").await?;
    let ready = browser.text(".photo[data-state=ready] .caption").await?;
    assert!(
        ready.contains("meadow.jpg") && ready.contains("Mar 3, 2024") && ready.contains("Millstream Meadow One"),
        "{ready}"
    );
    let failed = browser.text(".photo[data-state=failed] .caption").await?;
    assert!(failed.contains("<img src=x onerror=document.title=1>.png"), "shown as text: {failed}");
    assert!(failed.contains("not a picture that can be read"), "{failed}");
    assert_eq!(page.title().await?, "A day out · Gallery");
    browser.find("#history summary").await?.click().await?;
    let row = browser.text("#history tr[data-state=dead]").await?;
    assert!(row.contains("<img src=x onerror=document.title=1>.png") && row.contains("not a picture"), "{row}");
    assert!(browser.text("#history tr[data-state=completed]").await?.contains("ms"));
    assert_eq!(page.execute("return window.untouched", vec![]).await?, Value::Bool(true));
    let drawn = "const img = document.querySelector('.photo[data-state=ready] img'); await img.decode(); return img.naturalWidth > 0";
    let drawn = format!("const done = arguments[0]; (async () => {{ {drawn} }})().then(done)");
    assert_eq!(page.execute_async(&drawn, vec![]).await?, Value::Bool(true));
    if let Ok(folder) = std::env::var("MILLSTREAM_TEST_SCREENSHOTS") {
        fs::write(format!("{folder}/page.png"), page.screenshot().await?)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gallery_is_renamed_on_its_page() -> Result<()> {
    let site = Site::new().await?;
    let (_gallery, host) = site.gallery(None).await?;
    let browser = Browser::start().await?;
    browser.page.goto(&format!("http://{host}/")).await?;
    browser.find("#rename").await?.click().await?;
    let field = browser.find("#settings:not([hidden]) input").await?;
    field.clear().await?;
    field.send_keys("<b>Holidays</b>").await?;
    browser.find("#settings button").await?.click().await?;
    browser.find("#rename:not([hidden])").await?;
    assert_eq!(browser.text("#name").await?, "<b>Holidays</b>", "shown as text, at once");
    browser.page.refresh().await?;
    browser.find("#rename").await?;
    assert_eq!(browser.text("#name").await?, "<b>Holidays</b>", "and after a reload");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_goes_on_while_the_signalling_server_is_away_and_finds_it_again() -> Result<()> {
    let site = Site::new().await?;
    let listen = format!("127.0.0.1:{}", free_port()?);
    let (mut signaling, url) = site.signaling_at(&listen).await?;
    let (_gallery, host) = site.gallery(Some(&url)).await?;
    let _worker = site.worker().await?;
    let photo = site.new_folder("files")?.join("meadow.jpg");
    fs::write(&photo, photograph(7, 800, 600, 1)?)?;
    let id = crate::gallery::new_album(&host, "Outage").await?;

    let browser = Browser::start().await?;
    browser.page.goto(&format!("http://{host}/albums/{id}")).await?;
    browser.find("#live[data-state=live]").await?;
    signaling.kill().await;
    browser.find("#live[data-state=polling]").await?;
    let input = browser.page.find(fantoccini::Locator::Id("files")).await?;
    input.send_keys(photo.to_str().context("a path of plain characters")?).await?;
    browser.find(".photo[data-state=ready]").await?;
    let _signaling = site.signaling_at(&listen).await?;
    browser.find("#live[data-state=live]").await?;
    Ok(())
}
