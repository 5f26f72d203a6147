//! One socket, from upgrade to farewell.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::stream::SplitSink;
use futures::{SinkExt, StreamExt};
use millstream_queue::Client;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::events::RoomSignal;
use crate::hub::Hub;
use crate::outbox::{Farewell, Inbox, outbox};
use crate::protocol::Reply;
use crate::requests::Desk;

/// How often a client is asked for a sign of life, and how long it may go without one.
const PING: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_secs(45);
/// How long one message may take to leave, and how long a client has to answer a farewell.
const SEND: Duration = Duration::from_secs(10);
const GOODBYE: Duration = Duration::from_secs(5);

pub(crate) async fn run(socket: WebSocket, hub: Arc<Hub>, client: Client, stop: CancellationToken) {
    let (sink, mut messages) = socket.split();
    let (outbox, inbox) = outbox();
    let id = hub.connect(outbox.clone());
    let mut writer = tokio::spawn(write(sink, inbox));
    let desk = Desk { id, hub: &hub, client: &client, outbox: &outbox };

    loop {
        let message = tokio::select! {
            message = timeout(SILENCE, messages.next()) => message,
            _ = &mut writer => break, // said farewell, or the client is gone
            () = stop.cancelled() => {
                outbox.close(Farewell::new(Farewell::GOING_AWAY, "the server stops; connect again"));
                break;
            }
        };
        match message {
            Ok(Some(Ok(Message::Text(text)))) => desk.receive(&text).await,
            Ok(Some(Ok(Message::Binary(_)))) => {
                desk.reply(&Reply::Error { message: "messages are JSON in text frames" })
            }
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Some(Ok(Message::Close(_))) | None) => break,
            Ok(Some(Err(error))) => {
                outbox.close(Farewell::new(Farewell::POLICY, error.to_string()));
                break;
            }
            Err(_) => {
                outbox.close(Farewell::new(Farewell::POLICY, format!("no sign of life for {} s", SILENCE.as_secs())));
                break;
            }
        }
    }

    // However the socket ended, its peer is gone.
    if let Some(member) = hub.disconnect(id) {
        let leave = RoomSignal::Leave { peer: member.peer, session: member.session };
        if let Err(error) = client.publish(leave).subject(&member.room).await {
            tracing::warn!(%error, room = %member.room, "the room wasn't told that a peer is gone");
        }
    }
    drop(outbox);
    if !writer.is_finished() {
        let _ = writer.await;
    }
    // Unread bytes would make the operating system cut the connection, and the farewell with it.
    let _ = timeout(GOODBYE, async { while let Some(Ok(_)) = messages.next().await {} }).await;
}

/// Sends what is in the inbox until it is closed or a farewell overtakes it.
async fn write(mut sink: SplitSink<WebSocket, Message>, inbox: Inbox) {
    let Inbox { mut messages, mut closing } = inbox;
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset_at(Instant::now() + PING);
    loop {
        let message = tokio::select! {
            biased;
            farewell = closing.farewell() => {
                if let Some(Farewell { code, reason }) = &farewell {
                    tracing::info!(code, reason, "closing a connection");
                }
                let frame = farewell.map(|farewell| CloseFrame { code: farewell.code, reason: farewell.reason.into() });
                // Without a reason of its own this answers the client's farewell, if there was one.
                let _ = timeout(GOODBYE, async { sink.send(Message::Close(frame)).await?; sink.close().await }).await;
                return;
            }
            Some(text) = messages.recv() => Message::Text(text),
            _ = pings.tick() => Message::Ping(Default::default()),
        };
        // A client that takes nothing would otherwise hold its messages, and this task, for ever; a farewell doesn't
        // wait that long.
        let sent = tokio::select! {
            sent = timeout(SEND, sink.send(message)) => matches!(sent, Ok(Ok(()))),
            _ = closing.farewell() => continue,
        };
        if !sent {
            return;
        }
    }
}
