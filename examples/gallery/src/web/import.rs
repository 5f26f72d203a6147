use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::error::id;
use super::push::{Added, add_and_push};
use super::{ApiError, Gallery};

#[derive(Deserialize)]
pub(super) struct Import {
    folder: PathBuf,
}

/// Adds every photo of a folder on this machine.
///
/// Whoever may ask for this may see any photo that the server can read, so only programs on the same machine may: the
/// server must listen on a loopback address, and be called by one. A foreign web page in a local browser can't send
/// JSON here without the browser asking first, and a host name that was pointed at this machine is refused.
pub(super) async fn import(
    State(gallery): State<Arc<Gallery>>,
    Path(album): Path<String>,
    headers: HeaderMap,
    body: Result<Json<Import>, JsonRejection>,
) -> Result<Json<Added>, ApiError> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !gallery.listen.ip().is_loopback() || !is_local(host) {
        let message = "folders can be imported only on the machine itself: let the gallery listen on 127.0.0.1";
        return Err(ApiError::new(StatusCode::FORBIDDEN, message));
    }
    let album = id("an album", &album)?;
    let Json(Import { folder }) = body?;
    if !folder.is_absolute() {
        return Err(ApiError::bad(format!("{folder:?} is not an absolute path")));
    }
    let albums = gallery.albums.clone();
    let staged = spawn_blocking(move || albums.stage_folder(album, &folder)).await??;
    add_and_push(&gallery, album, staged).await
}

fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "[::1]") || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:80", "127.9.9.9", "[::1]", "[::1]:8080"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["", "example.org", "127.0.0.1.example.org:80", "192.168.0.4:80", "[::2]:1", "localhost.example"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
