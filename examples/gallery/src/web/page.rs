use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use serde::Serialize;

use super::{ApiError, Gallery};
use crate::Settings;

/// The page's files are part of the binary: there is nothing to install, and nothing to build but Rust.
const FILES: [(&str, &str, &str); 11] = [
    ("style.css", "text/css; charset=utf-8", include_str!("../page/style.css")),
    ("app.js", SCRIPT, include_str!("../page/app.js")),
    ("albums.js", SCRIPT, include_str!("../page/albums.js")),
    ("album.js", SCRIPT, include_str!("../page/album.js")),
    ("history.js", SCRIPT, include_str!("../page/history.js")),
    ("settings.js", SCRIPT, include_str!("../page/settings.js")),
    ("live.js", SCRIPT, include_str!("../page/live.js")),
    ("photo.js", SCRIPT, include_str!("../page/photo.js")),
    ("lightbox.js", SCRIPT, include_str!("../page/lightbox.js")),
    ("upload.js", SCRIPT, include_str!("../page/upload.js")),
    ("element.js", SCRIPT, include_str!("../page/element.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// One shell for all views; the script looks at the address.
pub(super) async fn shell() -> Html<&'static str> {
    Html(include_str!("../page/page.html"))
}

pub(super) async fn file(Path(name): Path<String>) -> Result<impl IntoResponse, ApiError> {
    let (_, kind, text) = FILES
        .into_iter()
        .find(|(file, _, _)| *file == name)
        .ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, format!("the page has no {name:?}")))?;
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text))
}

#[derive(Serialize)]
pub(super) struct Config {
    title: String,
    signaling: Option<String>,
    import: bool,
    max_bytes: u64,
}

pub(super) async fn config(State(gallery): State<Arc<Gallery>>) -> Result<Json<Config>, ApiError> {
    let (settings, _) = Settings::read(&gallery.store).await?;
    Ok(Json(Config {
        title: settings.title,
        signaling: gallery.signaling.clone(),
        import: gallery.listen.ip().is_loopback(),
        max_bytes: gallery.max_bytes,
    }))
}
