//! A headless Chromium of one's own.

use std::time::Duration;

use anyhow::{Context, Result};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use millstream_tests::{Process, free_port};
use serde_json::json;
use tempfile::TempDir;

use crate::programs::SOON;

pub(crate) struct Browser {
    pub(crate) page: Client,
    _driver: Process, // a process group: the browser ends with it
    _profile: TempDir,
}

impl Browser {
    pub(crate) async fn start() -> Result<Self> {
        let port = free_port()?;
        let driver = Process::builder("chromedriver").arg(format!("--port={port}")).spawn().context(
            "the browser test needs chromium and chromedriver: `apt-get install chromium chromium-driver`, \
             `dnf install chromium chromedriver` or `brew install --cask chromium chromedriver`",
        )?;
        driver.wait_for_line(SOON, |line| line.contains("started successfully")).await?;
        let profile = TempDir::with_prefix("millstream-browser-")?;
        let arguments = [
            "--headless=new",
            "--no-sandbox", // root has none
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1360,1000",
            &format!("--user-data-dir={}", profile.path().display()),
        ]
        .map(str::to_owned);
        let mut capabilities = serde_json::Map::new();
        capabilities.insert("goog:chromeOptions".to_owned(), json!({ "args": arguments }));
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .context("chromedriver can't start a browser")?;
        Ok(Self { page, _driver: driver, _profile: profile })
    }

    /// Waits for what a CSS selector finds.
    pub(crate) async fn find(&self, selector: &str) -> Result<fantoccini::elements::Element> {
        let found =
            self.page.wait().at_most(SOON).every(Duration::from_millis(50)).for_element(Locator::Css(selector)).await;
        match found {
            Ok(element) => Ok(element),
            Err(error) => {
                let text = self.page.execute("return document.body.innerText", Vec::new()).await?;
                Err(error).with_context(|| format!("no {selector} on the page, which shows {text}"))
            }
        }
    }

    pub(crate) async fn text(&self, selector: &str) -> Result<String> {
        Ok(self.find(selector).await?.text().await?)
    }
}
