//! What a browser would hear: the gallery's events, through the signalling server's WebSocket.

use std::collections::HashSet;

use anyhow::{Context, Result, bail};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// The second is what the page's own progress bar lives on.
const TOPICS: [&str; 2] = ["photo_ready", "job_progress"];

/// What has been heard so far. A photo counts once, however often a job that ran again published its event anew.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Album and photo of the photos that are done.
    pub(crate) photos: HashSet<(String, String)>,
}

/// Listens until dropped.
pub(crate) struct Listener {
    heard: watch::Receiver<Heard>,
    task: JoinHandle<()>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FromServer {
    Subscribed {
        topic: String,
    },
    Event {
        topic: String,
        data: Value,
    },
    Error {
        message: String,
    },
    #[serde(other)]
    Other,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Listener {
    /// Subscribes at `url`; when this returns, no later event is missed.
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let (mut socket, _) = connect_async(url).await.with_context(|| format!("cannot connect to {url}"))?;
        for topic in TOPICS {
            let subscribe = json!({ "type": "subscribe", "topic": topic });
            socket.send(Message::text(subscribe.to_string())).await?;
        }
        let mut missing: HashSet<&str> = TOPICS.into();
        while !missing.is_empty() {
            match next(&mut socket).await? {
                Some(FromServer::Subscribed { topic }) => missing.remove(topic.as_str()),
                Some(FromServer::Error { message }) => bail!("{url} does not take the subscription: {message}"),
                Some(_) => false,
                None => bail!("{url} closed the connection instead of subscribing to {missing:?}"),
            };
        }
        let (sender, heard) = watch::channel(Heard::default());
        let task = tokio::spawn(async move {
            if let Err(error) = listen(&mut socket, &sender).await {
                eprintln!("dev: the connection for events broke: {error:#}");
            }
        });
        Ok(Self { heard, task })
    }

    /// What has been heard up to now.
    pub(crate) fn heard(&self) -> watch::Ref<'_, Heard> {
        self.heard.borrow()
    }

    /// Waits for the next event; for ever if the connection is gone, so that callers set a limit.
    pub(crate) async fn changed(&mut self) {
        if self.heard.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(socket: &mut Socket, heard: &watch::Sender<Heard>) -> Result<()> {
    while let Some(message) = next(socket).await? {
        let FromServer::Event { topic, data } = message else { continue };
        heard.send_modify(|heard| {
            if topic == "photo_ready" {
                let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
                heard.photos.insert((text("album"), text("photo")));
            }
        });
    }
    bail!("the server closed it")
}

/// The next message of the server; `None` when it has closed the connection.
async fn next(socket: &mut Socket) -> Result<Option<FromServer>> {
    while let Some(message) = socket.next().await {
        if let Message::Text(text) = message? {
            return serde_json::from_str(&text).map(Some).with_context(|| format!("no message of the server: {text}"));
        }
    }
    Ok(None)
}
