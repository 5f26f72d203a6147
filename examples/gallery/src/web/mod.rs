//! The page and the HTTP interface behind it.
//!
//! | | |
//! |---|---|
//! | `GET /`, `/albums/{id}` | the page |
//! | `GET /api/config` | what the page needs to know: `{"title", "signaling", "import", "max_bytes"}` |
//! | `GET /api/albums` | `{"albums": [{"id", "title", "created", "ready", "failed", "total", "cover"}]}`, the newest first |
//! | `POST /api/albums` | `{"title"}` makes an album: `{"id", "title", "created"}` |
//! | `GET /api/albums/{id}` | the whole album: [`view::AlbumView`] |
//! | `POST /api/albums/{id}/photos` | multipart, one part per file: `{"photos": [{"id", "name"}]}` |
//! | `POST /api/albums/{id}/import` | `{"folder": "/absolute/path"}`: the same; local only |
//! | `GET /api/albums/{id}/history` | what became of its jobs: `{"jobs": [{"kind", "photo", "state", "attempt", "finished", "took_ms", "error", "attempts"}], "next"}` |
//! | `GET`, `PUT /api/settings` | `{"title", "version"}`; a change of an older version is 409 |
//! | `GET /files/{album}/{photo}/{size}.jpg` | a thumbnail: `small`, `medium`, `large` |
//! | `GET /files/{album}/sheet-{n}.jpg` | a contact sheet |
//!
//! Every error is `{"error": "what was wrong"}` with its status.

mod albums;
mod error;
mod files;
mod history;
mod import;
mod page;
mod push;
mod settings;
mod upload;
pub mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, header};
use axum::routing::{get, post};
use millstream_store::Store;
use tower_http::set_header::SetResponseHeaderLayer;

pub use error::ApiError;

use crate::Albums;

/// What the web server needs.
#[derive(Clone, Debug)]
pub struct Gallery {
    /// Where the photos are.
    pub albums: Albums,
    /// Where albums, jobs on their way, history and settings are.
    pub store: Store,
    /// The signalling server that the page listens to, a `ws://` or `wss://` address; without one it asks now and then.
    pub signaling: Option<String>,
    /// Where the server listens. Folders of this machine can be imported only if that is a loopback address.
    pub listen: SocketAddr,
    /// The largest file that is accepted, in bytes.
    pub max_bytes: u64,
}

/// All routes.
pub fn router(gallery: Gallery) -> Router {
    Router::new()
        .route("/", get(page::shell))
        .route("/albums/{album}", get(page::shell))
        .route("/page/{file}", get(page::file))
        .route("/api/config", get(page::config))
        .route("/api/albums", get(albums::list).post(albums::create))
        .route("/api/albums/{album}", get(albums::show))
        // Files are streamed to disk, each with a limit of its own.
        .route("/api/albums/{album}/photos", post(upload::upload).layer(DefaultBodyLimit::disable()))
        .route("/api/albums/{album}/import", post(import::import))
        .route("/api/albums/{album}/history", get(history::page))
        .route("/api/settings", get(settings::show).put(settings::change))
        .route("/files/{album}/{file}", get(files::sheet))
        .route("/files/{album}/{photo}/{file}", get(files::thumbnail))
        .fallback(error::no_such_page)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(header(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(header::REFERRER_POLICY, "no-referrer"))
        .with_state(Arc::new(gallery))
}

/// Nothing from elsewhere runs or loads; the signalling server's port isn't known when this is compiled.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self' ws: wss:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

fn header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}
