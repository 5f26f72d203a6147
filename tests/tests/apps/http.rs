//! JSON and files over HTTP, one connection per request.

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

pub(crate) async fn get(host: &str, path: &str) -> Result<Value> {
    json(host, Request::get(path).body(Bytes::new())?).await
}

pub(crate) async fn post(host: &str, path: &str, body: &Value) -> Result<Value> {
    json(host, post_request(path, body)?).await
}

pub(crate) fn post_request(path: &str, body: &Value) -> Result<Request<Bytes>> {
    Ok(Request::post(path).header(header::CONTENT_TYPE, "application/json").body(serde_json::to_vec(body)?.into())?)
}

pub(crate) fn put_request(path: &str, body: &Value) -> Result<Request<Bytes>> {
    Ok(Request::put(path).header(header::CONTENT_TYPE, "application/json").body(serde_json::to_vec(body)?.into())?)
}

/// A file as a browser's form sends it.
pub(crate) fn upload_request(path: &str, name: &str, file: &[u8]) -> Result<Request<Bytes>> {
    const BOUNDARY: &str = "----between-the-parts";
    let head = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"photo\"; filename=\"{name}\"\r\n\
         content-type: application/octet-stream\r\n\r\n"
    );
    let body = [head.as_bytes(), file, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat();
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    Ok(Request::post(path).header(header::CONTENT_TYPE, kind).body(body.into())?)
}

/// The file at `path`.
pub(crate) async fn file(host: &str, path: &str) -> Result<Bytes> {
    let (status, body) = send(host, Request::get(path).body(Bytes::new())?).await?;
    ensure!(status.is_success(), "{path} answered {status}: {}", String::from_utf8_lossy(&body));
    Ok(body)
}

/// The JSON of an answer that must be a good one.
pub(crate) async fn json(host: &str, request: Request<Bytes>) -> Result<Value> {
    let what = format!("{} {}", request.method(), request.uri());
    let (status, body) = send(host, request).await?;
    ensure!(status.is_success(), "{what} answered {status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).with_context(|| format!("{what} answered no JSON"))
}

/// The status and the message of an answer that must be an error.
pub(crate) async fn refused(host: &str, request: Request<Bytes>) -> Result<(StatusCode, String)> {
    let (status, body) = send(host, request).await?;
    let body: Value = serde_json::from_slice(&body)?;
    let message = body["error"].as_str().with_context(|| format!("{status} without a message: {body}"))?;
    Ok((status, message.to_owned()))
}

async fn send(host: &str, mut request: Request<Bytes>) -> Result<(StatusCode, Bytes)> {
    if !request.headers().contains_key(header::HOST) {
        request.headers_mut().insert(header::HOST, host.parse()?);
    }
    let stream = TcpStream::connect(host).await?;
    let (mut server, connection) = handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = server.send_request(request.map(Full::new)).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, body))
}
