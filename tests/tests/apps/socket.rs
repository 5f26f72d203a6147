//! A client of the signalling server.

use anyhow::{Context, Result, bail};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::programs::SOON;

pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let (socket, _) = connect_async(url).await.with_context(|| format!("no socket at {url}"))?;
        Ok(Self(socket))
    }

    /// Over a connection that was made by hand.
    pub(crate) async fn over(stream: TcpStream, url: &str) -> Result<Self> {
        let (socket, _) = tokio_tungstenite::client_async(url, MaybeTlsStream::Plain(stream)).await?;
        Ok(Self(socket))
    }

    /// Connects and comes into the room; returns once the room knows.
    pub(crate) async fn join(url: &str, room: &str, peer: &str) -> Result<Self> {
        let mut socket = Self::connect(url).await?;
        socket.say(json!({"type": "join", "room": room, "peer": peer})).await?;
        socket.expect(json!({"type": "joined", "room": room, "peer": peer})).await?;
        Ok(socket)
    }

    /// Subscribes; returns once nothing can be missed any more.
    pub(crate) async fn subscribe(&mut self, topic: &str, subject: Option<&str>) -> Result<()> {
        self.say(json!({"type": "subscribe", "topic": topic, "subject": subject})).await?;
        self.expect(json!({"type": "subscribed", "topic": topic, "subject": subject})).await
    }

    pub(crate) async fn say(&mut self, message: Value) -> Result<()> {
        self.say_text(&message.to_string()).await
    }

    pub(crate) async fn say_text(&mut self, text: &str) -> Result<()> {
        Ok(self.0.send(Message::text(text)).await?)
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Result<Value> {
        match self.next().await? {
            Ok(text) => Ok(serde_json::from_str(&text)?),
            Err(farewell) => bail!("the server closed the socket: {farewell:?}"),
        }
    }

    /// The next message, which must be this one.
    pub(crate) async fn expect(&mut self, message: Value) -> Result<()> {
        let heard = self.hear().await?;
        anyhow::ensure!(heard == message, "heard {heard} instead of {message}");
        Ok(())
    }

    /// What the server says at the end, after whatever else it says.
    pub(crate) async fn farewell(&mut self) -> Result<CloseFrame> {
        loop {
            if let Err(farewell) = self.next().await? {
                return farewell.context("the server closed the socket without a reason");
            }
        }
    }

    async fn next(&mut self) -> Result<Result<String, Option<CloseFrame>>> {
        loop {
            match timeout(SOON, self.0.next()).await.context("the server says nothing")? {
                Some(Ok(Message::Text(text))) => return Ok(Ok(text.to_string())),
                Some(Ok(Message::Close(farewell))) => return Ok(Err(farewell)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => bail!("the connection ended without a farewell"),
            }
        }
    }
}
