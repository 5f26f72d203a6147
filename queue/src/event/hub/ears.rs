//! One subscription connection per process. It is always drained into bounded rings, since a subscriber that doesn't read
//! is dropped by the server; after a disconnect it comes back and tells everyone that something may be missing. It is
//! asked for a sign of life every few seconds: a path that died silently looks just like a quiet channel.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::StreamExt;
use redis::{
    RedisError, Value,
    aio::{PubSubSink, PubSubStream},
};
use tokio::sync::Notify;

use super::ring::{Ring, Tap};
use crate::{
    Error,
    connection::{Connections, in_time},
    retry::Retry,
};

/// How often the connection is asked for a sign of life, and channels that nobody hears any more are let go.
const PULSE: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// What arrives on a channel.
#[derive(Clone)]
pub(crate) enum Sound {
    Message(Arc<[u8]>),
    /// The subscription was away for a while.
    Missed,
}

#[derive(Clone)]
pub(crate) struct Ears {
    shared: Arc<Shared>,
}

struct Shared {
    connections: Connections,
    state: Mutex<State>,
    /// Wakes the task when a channel joins.
    joined: Notify,
    /// Told whenever the server confirmed channels.
    confirmed: Notify,
}

#[derive(Default)]
struct State {
    channels: HashMap<String, Channel>,
    running: bool,
}

struct Channel {
    ring: Ring<Sound>,
    /// By the connection in use.
    confirmed: bool,
    /// By any connection so far: what was told between that one and this was missed.
    was_confirmed: bool,
}

impl Channel {
    fn new() -> Self {
        Self { ring: Ring::new(), confirmed: false, was_confirmed: false }
    }
}

impl Ears {
    pub(super) fn new(connections: Connections) -> Self {
        let state = Mutex::default();
        Self { shared: Arc::new(Shared { connections, state, joined: Notify::new(), confirmed: Notify::new() }) }
    }

    /// Subscribes; returns when the server has confirmed it, so that what is told from then on arrives.
    pub(crate) async fn join(&self, channel: &str) -> Tap<Sound> {
        let tap = {
            let mut state = self.shared.state();
            if !state.running {
                state.running = true;
                tokio::spawn(self.shared.clone().run());
            }
            let entry = state.channels.entry(channel.to_owned());
            entry.or_insert_with(Channel::new).ring.tap()
        };
        self.shared.joined.notify_one();
        loop {
            let confirmed = self.shared.confirmed.notified();
            if self.shared.state().channels.get(channel).is_none_or(|channel| channel.confirmed) {
                return tap;
            }
            confirmed.await;
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        let mut retry = Retry::new("listen");
        while self.anyone_left() {
            match self.listen(&mut retry).await {
                Ok(()) => return,
                Err(error) => retry.failed(&error).await,
            }
        }
    }

    /// False, and no longer running, when nobody listens.
    fn anyone_left(&self) -> bool {
        let mut state = self.state();
        state.running = state.channels.values().any(|channel| channel.ring.has_taps());
        if !state.running {
            state.channels.clear();
        }
        state.running
    }

    /// Listens on one connection until it ends, or nobody listens.
    async fn listen(&self, retry: &mut Retry) -> Result<(), Error> {
        let (mut sink, mut messages) = self.connections.subscriber().await?.split();
        // Side by side, so that messages are drained while the server is asked something.
        let ended = tokio::select! {
            ended = self.keep_subscribed(&mut sink, retry) => ended,
            gone = self.pass_on(&mut messages) => Err(gone),
        };
        self.state().channels.values_mut().for_each(|channel| channel.confirmed = false);
        ended
    }

    async fn keep_subscribed(&self, sink: &mut PubSubSink, retry: &mut Retry) -> Result<(), Error> {
        loop {
            self.subscribe(sink).await?;
            retry.worked();
            tokio::select! {
                () = self.joined.notified() => {}
                () = tokio::time::sleep(PULSE) => {
                    answer(sink.ping::<Value>()).await?;
                    self.let_go(sink).await?;
                }
            }
            if !self.anyone_left() {
                return Ok(());
            }
        }
    }

    /// Subscribes to what isn't yet on this connection.
    async fn subscribe(&self, sink: &mut PubSubSink) -> Result<(), Error> {
        let wanted: Vec<String> = {
            let state = self.state();
            state.channels.iter().filter(|(_, channel)| !channel.confirmed).map(|(name, _)| name.clone()).collect()
        };
        for name in &wanted {
            answer(sink.subscribe(name)).await?;
            if let Some(channel) = self.state().channels.get_mut(name) {
                channel.confirmed = true;
                if std::mem::replace(&mut channel.was_confirmed, true) {
                    channel.ring.send(Sound::Missed, 0);
                }
            }
        }
        self.confirmed.notify_waiters();
        Ok(())
    }

    /// Unsubscribes from what nobody hears any more. Who joins such a channel meanwhile is subscribed again.
    async fn let_go(&self, sink: &mut PubSubSink) -> Result<(), Error> {
        let unheard: Vec<String> = {
            let mut state = self.state();
            state.channels.extract_if(|_, channel| !channel.ring.has_taps()).map(|(name, _)| name).collect()
        };
        for name in &unheard {
            answer(sink.unsubscribe(name)).await?;
        }
        Ok(())
    }

    async fn pass_on(&self, messages: &mut PubSubStream) -> Error {
        while let Some(message) = messages.next().await {
            let state = self.state();
            if let Some(channel) = state.channels.get(message.get_channel_name()) {
                let payload = message.get_payload_bytes();
                channel.ring.send(Sound::Message(payload.into()), payload.len());
            }
        }
        let gone = std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "the subscription ended");
        RedisError::from(gone).into()
    }
}

async fn answer<T>(asked: impl Future<Output = Result<T, RedisError>>) -> Result<T, Error> {
    Ok(in_time(ANSWER, asked).await?)
}
