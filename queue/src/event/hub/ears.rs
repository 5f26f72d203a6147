//! One subscription connection per process. It is always drained into bounded rings, since a subscriber that doesn't read
//! is dropped by the server; after a disconnect it comes back and tells everyone that something may be missing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use futures::StreamExt;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::sync::{Notify, broadcast};

use crate::{Error, connection::Connections, retry::Retry};

/// Messages that a listener may be behind before it misses some.
const RING: usize = 1024;

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
    ring: broadcast::Sender<Sound>,
    /// By the connection in use.
    confirmed: bool,
    /// By any connection so far: what was told between that one and this was missed.
    was_confirmed: bool,
}

impl Channel {
    fn new() -> Self {
        Self { ring: broadcast::channel(RING).0, confirmed: false, was_confirmed: false }
    }
}

impl Ears {
    pub(super) fn new(connections: Connections) -> Self {
        let state = Mutex::default();
        Self { shared: Arc::new(Shared { connections, state, joined: Notify::new(), confirmed: Notify::new() }) }
    }

    /// Subscribes; returns when the server has confirmed it, so that what is told from then on arrives.
    pub(crate) async fn join(&self, channel: &str) -> broadcast::Receiver<Sound> {
        let receiver = {
            let mut state = self.shared.state();
            if !state.running {
                state.running = true;
                tokio::spawn(self.shared.clone().run());
            }
            let entry = state.channels.entry(channel.to_owned());
            entry.or_insert_with(Channel::new).ring.subscribe()
        };
        self.shared.joined.notify_one();
        loop {
            let confirmed = self.shared.confirmed.notified();
            if self.shared.state().channels.get(channel).is_none_or(|channel| channel.confirmed) {
                return receiver;
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

    fn anyone_left(&self) -> bool {
        let mut state = self.state();
        state.running = state.channels.values().any(|channel| channel.ring.receiver_count() > 0);
        if !state.running {
            state.channels.clear();
        }
        state.running
    }

    /// Listens on one connection until it ends.
    async fn listen(&self, retry: &mut Retry) -> Result<(), Error> {
        let pubsub = self.connections.client().get_async_pubsub().await?;
        let (mut sink, mut messages) = pubsub.split();
        self.state().channels.values_mut().for_each(|channel| channel.confirmed = false);
        loop {
            self.subscribe(&mut sink).await?;
            retry.worked();
            tokio::select! {
                () = self.joined.notified() => {}
                gone = self.pass_on(&mut messages) => return gone,
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
            sink.subscribe(name).await?;
            if let Some(channel) = self.state().channels.get_mut(name) {
                channel.confirmed = true;
                if std::mem::replace(&mut channel.was_confirmed, true) {
                    let _ = channel.ring.send(Sound::Missed);
                }
            }
        }
        self.confirmed.notify_waiters();
        Ok(())
    }

    async fn pass_on(&self, messages: &mut PubSubStream) -> Result<(), Error> {
        while let Some(message) = messages.next().await {
            let state = self.state();
            if let Some(channel) = state.channels.get(message.get_channel_name()) {
                let _ = channel.ring.send(Sound::Message(message.get_payload_bytes().into()));
            }
        }
        let gone = std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "the subscription ended");
        Err(redis::RedisError::from(gone).into())
    }
}
