//! The little HTTP that the demo speaks: JSON to a server on this machine.

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

/// GETs `path` from `host` (`127.0.0.1:<port>`).
pub(crate) async fn get<T: DeserializeOwned>(host: &str, path: &str) -> Result<T> {
    send(host, Method::GET, path, Bytes::new()).await
}

/// POSTs `body` to `path` on `host`.
pub(crate) async fn post<T: DeserializeOwned>(host: &str, path: &str, body: &impl Serialize) -> Result<T> {
    send(host, Method::POST, path, serde_json::to_vec(body)?.into()).await
}

async fn send<T: DeserializeOwned>(host: &str, method: Method, path: &str, body: Bytes) -> Result<T> {
    let what = format!("{method} http://{host}{path}");
    let answer = async {
        let stream = TcpStream::connect(host).await?;
        let (mut server, connection) = handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let response = server.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort(); // one request each: they are few
        anyhow::Ok((status, body))
    };
    let (status, body) = answer.await.with_context(|| what.clone())?;
    if !status.is_success() {
        bail!("{what} answered {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    serde_json::from_slice(&body).with_context(|| format!("{what} answered something else than expected"))
}
