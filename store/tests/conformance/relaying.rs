//! A relay that runs until stopped.

use millstream_store::{Error, Relay};
use tokio::{sync::oneshot, task::JoinHandle};

pub(crate) struct Relaying {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Relaying {
    pub(crate) fn start(relay: Relay) -> Self {
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            stopped.await.ok();
        };
        Self { stop, task: tokio::spawn(relay.run_until(shutdown)) }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).ok();
        self.task.await.expect("no panic").expect("relayed");
    }
}
