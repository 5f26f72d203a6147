//! Everything in one process, started and stopped in order.

use std::{future::Future, time::Duration};

use futures::future::select_all;
use millstream_queue::{Client, Job, Retry};
use millstream_store::{Recorder, Relay, Time};
use millstream_worker::Worker;
use tokio::{net::TcpListener, task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

use crate::{ConsentError, ExportSubject, Ledger, erase_old_exports, export_subject, suppress, web};

/// How long each part may take to end.
const GRACE: Duration = Duration::from_secs(30);

/// A part of the program that runs until it is told to stop.
struct Part {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Part {
    fn start<E: Into<anyhow::Error>, Fut: Future<Output = Result<(), E>> + Send + 'static>(
        run: impl FnOnce(CancellationToken) -> Fut,
    ) -> Self {
        let stop = CancellationToken::new();
        let running = run(stop.clone());
        Self { stop, task: tokio::spawn(async move { running.await.map_err(Into::into) }) }
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        match time::timeout(GRACE, &mut self.task).await {
            Ok(ended) => ended?,
            Err(_) => {
                self.task.abort();
                Ok(())
            }
        }
    }
}

/// Serves the HTTP interface on `listener` and runs the relay of jobs and events, the worker, the recorder, and what
/// withdrawals bring about, until `shutdown` is ready. Then the parts end one after the other, those first whose work is work for the others.
///
/// # Errors
/// That of the first part that failed; all others are stopped.
pub async fn serve(
    ledger: Ledger,
    client: Client,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let recorder = Recorder::new(client.clone(), ledger.store().clone()).queues([ExportSubject::QUEUE]);
    recorder.register().await?;
    let store = ledger.store().clone();
    let worker = Worker::new(client.clone(), ledger.clone()).handle(export_subject).check("sql", move || {
        let store = store.clone();
        async move { store.health().await.map(drop) }
    });
    let router = web::router(ledger.clone(), client.clone()).merge(worker.health().routes());

    // The order of starting; that of ending is its reverse.
    let mut parts = vec![
        Part::start(|stop| recorder.run_until(stop.cancelled_owned())),
        Part::start(|stop| worker.run_until(stop.cancelled_owned())),
        Part::start(|stop| suppress::run(ledger.clone(), client.clone(), stop)),
        Part::start(|stop| Relay::new(client, ledger.store().clone()).run_until(stop.cancelled_owned())),
        Part::start(|stop| sweep(ledger, stop)),
        Part::start(|stop| axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).into_future()),
    ];
    let first = async {
        let (ended, index, _) = select_all(parts.iter_mut().map(|part| &mut part.task)).await;
        (ended, index)
    };
    let mut result = tokio::select! {
        (ended, index) = first => {
            parts.remove(index);
            ended.unwrap_or_else(|panic| Err(panic.into()))
        }
        () = shutdown => Ok(()),
    };
    while let Some(part) = parts.pop() {
        result = result.and(part.end().await);
    }
    result
}

/// Every minute, erases what is old.
async fn sweep(ledger: Ledger, stop: CancellationToken) -> Result<(), ConsentError> {
    let mut retry = Retry::new("erase old exports");
    loop {
        match erase_old_exports(&ledger, Time::now()).await {
            // A full batch: there may be more.
            Ok(100..) => continue,
            Ok(_) => retry.worked(),
            Err(error) => retry.report(&error),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = time::sleep(Duration::from_secs(60)) => {}
        }
    }
}
