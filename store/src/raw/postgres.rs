//! A pooled client of tokio-postgres.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use tokio::runtime::Handle;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::{pool::Leased, postgres::RawManager};

/// How long a connection may take to come out of a transaction.
const PATIENCE: Duration = Duration::from_secs(5);

/// A raw connection to Postgres on loan; see [`Store::raw_postgres`](crate::Store::raw_postgres). Dropping it returns it,
/// after a transaction that was left open on it is rolled back.
#[derive(Debug)]
pub struct RawPostgres {
    /// There until it is dropped.
    client: Option<Leased<RawManager>>,
}

impl RawPostgres {
    pub(super) fn new(client: Leased<RawManager>) -> Self {
        Self { client: Some(client) }
    }
}

impl Deref for RawPostgres {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.client.as_ref().expect("there until it is dropped")
    }
}

impl DerefMut for RawPostgres {
    fn deref_mut(&mut self) -> &mut Client {
        self.client.as_mut().expect("there until it is dropped")
    }
}

impl Drop for RawPostgres {
    fn drop(&mut self) {
        if let (Some(mut client), Ok(runtime)) = (self.client.take(), Handle::try_current()) {
            runtime.spawn(async move {
                client.doubt();
                if let Ok(Ok(())) = tokio::time::timeout(PATIENCE, leave_transaction(&client)).await {
                    client.answered();
                }
            });
        }
    }
}

/// A ROLLBACK outside a transaction would put a warning into the server's log each time, so it is asked for first.
async fn leave_transaction(client: &Client) -> Result<(), tokio_postgres::Error> {
    // A statement that is a transaction of its own begins with it. A failed transaction refuses the question.
    const OUTSIDE: &str = "SELECT now() = statement_timestamp()";
    let outside = client.simple_query(OUTSIDE).await;
    let is_outside = outside.is_ok_and(|messages| {
        messages.iter().any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t")))
    });
    if is_outside { Ok(()) } else { client.batch_execute("ROLLBACK").await }
}
