//! Following a topic live, without holes.

mod catch_up;

use std::{collections::VecDeque, future::IntoFuture, marker::PhantomData};

use super::{
    Envelope, Event, Position,
    hub::{Lagged, TailItem, Tap},
};
use crate::{Client, Error, client::BoxFuture, keys, names, retry::Retry};
use catch_up::{CatchUp, Footing, Page};

impl Client {
    /// Follows a topic live: every event from now on, in order, through reconnects and restarts; what retention or a
    /// failover took away is told as a [`Live::Gap`].
    ///
    /// # Errors
    /// [`Error::Name`]; [`Error::Unreachable`], [`Error::Redis`] when the topic can't be looked at. A server that is away
    /// is waited for, at the start and later.
    pub fn follow<E: Event>(&self) -> Follow<'_, E> {
        Follow { client: self, since: None, event: PhantomData }
    }
}

/// A follower on its way; `.await` returns the [`Follower`] once no event can be missed any more.
#[must_use = "nothing is followed until awaited"]
pub struct Follow<'a, E> {
    client: &'a Client,
    since: Option<Position>,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> Follow<'_, E> {
    /// Begins with the first event behind `position` instead of now.
    pub fn since(mut self, position: Position) -> Self {
        self.since = Some(position);
        self
    }

    async fn follow(self) -> Result<Follower<E>, Error> {
        names::check("topic", E::NAME)?;
        let log = keys::event_log(self.client.namespace(), E::NAME);
        let ring = self.client.hub().tail.join(&log).await;
        let mut catch_up = CatchUp::new(self.client.clone(), log);
        match self.since {
            Some(position) => catch_up.start_behind(position).await?,
            None => catch_up.start_at_end().await?,
        }
        let retry = Retry::new("follow");
        Ok(Follower { ring, catch_up, mode: Mode::Verify, pending: VecDeque::new(), retry, event: PhantomData })
    }
}

impl<'a, E: Event> IntoFuture for Follow<'a, E> {
    type Output = Result<Follower<E>, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.follow())
    }
}

/// What a [`Follower`] yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Live<E> {
    /// A published event.
    Event(Envelope<E>),
    /// Events behind `from`, up to about `to`, are gone: retention passed them, or a failover lost them.
    Gap {
        /// The last position that is certain.
        from: Position,
        /// The position up to which events may be missing.
        to: Position,
    },
}

/// Receives every event of a topic in order.
pub struct Follower<E> {
    ring: Tap<TailItem>,
    catch_up: CatchUp,
    mode: Mode,
    pending: VecDeque<std::sync::Arc<super::envelope::Kept>>,
    retry: Retry,
    event: PhantomData<fn() -> E>,
}

/// How a follower gets its next event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Is the stream still the one that was read?
    Verify,
    /// Reading the stream by position, up to its end.
    CatchUp,
    /// At the end: the process's tail reader passes events on.
    Ring,
}

impl<E: Event> Follower<E> {
    /// The next event. May be dropped and called again without loss; waits as long as Redis is away.
    ///
    /// # Errors
    /// [`Error::Decode`] for an event that can't be read as its type; the next call goes on behind it.
    pub async fn next(&mut self) -> Result<Live<E>, Error> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.catch_up.passed(&event);
                return event.decode().map(Live::Event);
            }
            match self.mode {
                Mode::Ring => self.receive().await,
                Mode::Verify => match self.catch_up.verify().await {
                    Ok(footing) => {
                        self.mode = Mode::CatchUp;
                        if let Footing::Gap { from, to } = footing {
                            return Ok(Live::Gap { from, to });
                        }
                    }
                    Err(error) => self.retry.failed(&error).await,
                },
                Mode::CatchUp => match self.catch_up.page().await {
                    Ok(Page::Next { events, is_last }) => {
                        self.retry.worked();
                        if is_last {
                            self.mode = Mode::Ring;
                        }
                        self.pending.extend(events);
                    }
                    Ok(Page::Unsure) => self.mode = Mode::Verify,
                    Err(error) => {
                        self.retry.failed(&error).await;
                        self.mode = Mode::Verify;
                    }
                },
            }
        }
    }

    /// The position behind which the next event lies: what to give to [`Follow::since`] to go on from here.
    pub fn position(&self) -> Position {
        self.catch_up.position()
    }

    async fn receive(&mut self) {
        match self.ring.recv().await {
            Ok(TailItem::Event(event)) if event.position > self.catch_up.position() => self.pending.push_back(event),
            Ok(TailItem::Event(_)) => {} // read from the stream already
            Ok(TailItem::Resumed) | Err(Lagged) => self.mode = Mode::Verify,
        }
    }
}
