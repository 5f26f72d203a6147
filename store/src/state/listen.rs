//! What wakes those who watch: Postgres tells of each commit, SQLite is asked.

use std::{future::poll_fn, sync::Arc, time::Duration};

use tokio::{sync::Notify, task::JoinHandle};
use tokio_postgres::{AsyncMessage, Client};
use tracing::debug;

use crate::{Error, Store, postgres::WireConnection, store::Backend};

const LISTEN: &str = "LISTEN millstream_state";

/// Between two reads without a word from Postgres, which may have been lost with a connection that only seems to live.
const UNTOLD: Duration = Duration::from_secs(5);
/// Between two reads of SQLite.
const POLL: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct Listener {
    told: Arc<Notify>,
    session: Option<Session>,
}

/// Ends with its client, which ends the connection and with it the task.
#[derive(Debug)]
struct Session {
    client: Client,
    _task: JoinHandle<()>,
}

impl Listener {
    /// From its end on no change stays untold. Where that fails, reads by the clock go on.
    pub(super) async fn listen(&mut self, store: &Store, scope: &str) {
        let lives = self.session.as_ref().is_some_and(|session| !session.client.is_closed());
        let Backend::Postgres(database) = store.backend() else { return };
        if lives {
            return;
        }
        let opened = async {
            let (client, connection) = database.connect().await?;
            let task = tokio::spawn(hear(connection, scope.to_owned(), self.told.clone()));
            client.batch_execute(LISTEN).await?;
            Ok::<_, Error>(Session { client, _task: task })
        };
        match opened.await {
            Ok(session) => self.session = Some(session),
            Err(error) => debug!(%error, scope, "changes are not told, they are looked for"),
        }
    }

    /// Until something was told, or it is time to look.
    pub(super) async fn wait(&self, store: &Store, every: Option<Duration>) {
        let usual = match store.backend() {
            Backend::Postgres(_) if self.session.is_some() => UNTOLD,
            _ => POLL,
        };
        let _ = tokio::time::timeout(every.unwrap_or(usual), self.told.notified()).await;
    }
}

async fn hear(mut connection: WireConnection, scope: String, told: Arc<Notify>) {
    while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
        if matches!(&message, AsyncMessage::Notification(note) if note.payload() == scope) {
            told.notify_one();
        }
    }
    // Whoever waits connects anew and reads what was missed. Closed first, so that they see it.
    drop(connection);
    told.notify_one();
}
