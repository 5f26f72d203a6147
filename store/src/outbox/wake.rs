//! What tells a relay that rows may wait: Postgres' NOTIFY, and looking now and then.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use tokio::sync::Notify;
use tokio_postgres::AsyncMessage;
use tokio_util::sync::CancellationToken;

use crate::{Error, Store, postgres::Postgres, record::Trouble, store::Backend};

/// SQLite tells nobody of commits, so the relay looks this often.
const SQLITE: Duration = Duration::from_millis(25);
/// On Postgres looking only makes up for notifications that were lost with their connection.
const POSTGRES: Duration = Duration::from_secs(1);

/// Wakes a relay.
#[derive(Clone, Debug)]
pub(super) struct Wake {
    notify: Arc<Notify>,
    interval: Duration,
}

impl Wake {
    /// Listens until `stop`.
    pub(super) fn new(store: &Store, stop: CancellationToken) -> Self {
        let notify = Arc::new(Notify::new());
        let interval = match store.backend() {
            Backend::Postgres(database) => {
                tokio::spawn(listen(database.clone(), notify.clone(), stop));
                POSTGRES
            }
            Backend::Sqlite(_) => SQLITE,
        };
        Self { notify, interval }
    }

    /// Until rows may wait.
    pub(super) async fn woken(&self) {
        let _ = tokio::time::timeout(self.interval, self.notify.notified()).await;
    }
}

async fn listen(database: Postgres, notify: Arc<Notify>, stop: CancellationToken) {
    let mut trouble = Trouble::new("listening for rows of the outbox");
    loop {
        let lost = tokio::select! {
            lost = session(&database, &notify, &mut trouble) => lost,
            () = stop.cancelled() => return,
        };
        let wait = trouble.failed(&lost);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Listens on one connection until it is lost.
async fn session(database: &Postgres, notify: &Notify, trouble: &mut Trouble) -> Error {
    let (client, mut connection) = match database.connect().await {
        Ok(connected) => connected,
        Err(error) => return error.into(),
    };
    let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
    let listening = async {
        let listening = client.batch_execute("LISTEN millstream_outbox").await;
        if listening.is_ok() {
            trouble.worked();
            // What was committed before is not told.
            notify.notify_one();
        }
        listening
    };
    let driving = async {
        while let Some(message) = messages.next().await {
            if matches!(message?, AsyncMessage::Notification(_)) {
                notify.notify_one();
            }
        }
        Ok(())
    };
    match tokio::try_join!(listening, driving) {
        Ok(((), ())) => {
            Error::Unreachable { database: "Postgres".to_owned(), reason: "the connection ended".to_owned() }
        }
        Err(error) => Error::Postgres(error),
    }
}
