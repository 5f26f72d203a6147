//! A connection manager whose every wait ends.

use std::time::Duration;

use bb8::ManageConnection;
use tokio::time::timeout;

use crate::error::chain;

/// Longest that the check of a pooled connection may take, so that several stranded ones fit into one check-out.
const PING: Duration = Duration::from_millis(500);

/// A manager whose errors can be told.
pub(crate) trait Manager: ManageConnection<Error: std::error::Error + 'static> {}

impl<M: ManageConnection<Error: std::error::Error + 'static>> Manager for M {}

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
    type Connection = M::Connection;
    type Error = Failure;

    async fn connect(&self) -> Result<M::Connection, Failure> {
        match timeout(self.patience, self.manager.connect()).await {
            Ok(connected) => connected.map_err(|error| Failure::Refused(chain(&error))),
            Err(_) => Err(Failure::Refused(format!("no answer within {} s", self.patience.as_secs_f64()))),
        }
    }

    async fn is_valid(&self, connection: &mut M::Connection) -> Result<(), Failure> {
        match timeout(PING.min(self.patience), self.manager.is_valid(connection)).await {
            Ok(checked) => checked.map_err(|error| Failure::Gone(chain(&error))),
            Err(_) => Err(Failure::Gone("a pooled connection no longer answers".to_owned())),
        }
    }

    fn has_broken(&self, connection: &mut M::Connection) -> bool {
        self.manager.has_broken(connection)
    }
}
