//! A connection manager whose every wait ends.

use std::time::{Duration, Instant};

use bb8::ManageConnection;
use tokio::time::timeout;

use crate::error::chain;

/// Longest that the check of a pooled connection may take, so that several stranded ones fit into one check-out.
const PING: Duration = Duration::from_millis(500);

/// A manager whose errors can be told.
pub(crate) trait Manager: ManageConnection<Error: std::error::Error + 'static> {}

impl<M: ManageConnection<Error: std::error::Error + 'static>> Manager for M {}

/// A connection that was used without a failure this lately is lent again without asking it: a question per loan would double
/// the round trips of a short query.
const FRESH: Duration = Duration::from_millis(500);

/// A connection and when it was last known to answer.
pub(crate) struct Kept<C> {
    pub(super) connection: C,
    answered: Instant,
    /// Whether it may hang: then it is asked before it is lent again.
    pub(super) doubtful: bool,
}

impl<C> Kept<C> {
    pub(super) fn new(connection: C) -> Self {
        Self { connection, answered: Instant::now(), doubtful: false }
    }
}

/// Another manager with bounds: bb8 itself waits for ever for a server that accepts and then says nothing, and such a
/// connection would keep its place in the pool.
pub(crate) struct Bounded<M> {
    manager: M,
    patience: Duration,
}

/// What went wrong with a connection: the cause in full, without secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// There is no new one.
    #[error("{0}")]
    Refused(String),
    /// A pooled one no longer answers; a new one takes its place.
    #[error("{0}")]
    Gone(String),
}

impl<M> Bounded<M> {
    pub(super) fn new(manager: M, patience: Duration) -> Self {
        Self { manager, patience }
    }
}

impl<M: Manager> ManageConnection for Bounded<M> {
    type Connection = Kept<M::Connection>;
    type Error = Failure;

    async fn connect(&self) -> Result<Self::Connection, Failure> {
        match timeout(self.patience, self.manager.connect()).await {
            Ok(connected) => connected.map(Kept::new).map_err(|error| Failure::Refused(chain(&error))),
            Err(_) => Err(Failure::Refused(format!("no answer within {} s", self.patience.as_secs_f64()))),
        }
    }

    async fn is_valid(&self, kept: &mut Self::Connection) -> Result<(), Failure> {
        let gone = || Failure::Gone("a pooled connection no longer answers".to_owned());
        if !kept.doubtful && kept.answered.elapsed() < FRESH {
            return if self.manager.has_broken(&mut kept.connection) { Err(gone()) } else { Ok(()) };
        }
        match timeout(PING.min(self.patience), self.manager.is_valid(&mut kept.connection)).await {
            Ok(Ok(())) => {
                kept.doubtful = false;
                Ok(())
            }
            Ok(Err(error)) => Err(Failure::Gone(chain(&error))),
            Err(_) => Err(gone()),
        }
    }

    /// Asked when it comes back.
    fn has_broken(&self, kept: &mut Self::Connection) -> bool {
        kept.answered = Instant::now();
        self.manager.has_broken(&mut kept.connection)
    }
}
