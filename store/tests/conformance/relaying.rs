//! A relay that runs until stopped, what is written for it, and what it has relayed.

use std::collections::HashMap;

use millstream_queue::{Client, Job, Lane};
use millstream_store::{Error, Relay, Store};
use millstream_tests::{namespace, shared_redis};
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, task::JoinHandle};
use uuid::Uuid;

use crate::packs::until;

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

#[derive(Serialize, Deserialize)]
pub(crate) struct SendReceipt {
    pub(crate) order: i64,
}

impl Job for SendReceipt {
    const KIND: &'static str = "send_receipt";
    const QUEUE: &'static str = "mail";
}

pub(crate) async fn redis() -> Client {
    let server = shared_redis().await.expect("a Redis");
    Client::builder(&server).namespace(namespace()).await.expect("a client")
}

/// The field of each entry of a stream, in order.
pub(crate) async fn field(client: &Client, stream: &str, name: &str) -> Vec<String> {
    let mut conn = client.connection().await.expect("a connection");
    let entries: Vec<(String, HashMap<String, String>)> =
        redis::cmd("XRANGE").arg(stream).arg("-").arg("+").query_async(&mut conn).await.expect("entries");
    entries.into_iter().map(|(_, fields)| fields[name].clone()).collect()
}

/// The orders whose receipts were relayed, in order.
pub(crate) async fn orders(client: &Client) -> Vec<i64> {
    let bodies = field(client, &client.keys("mail").ready(Lane::Normal), "body").await;
    bodies.iter().map(|body| serde_json::from_str::<SendReceipt>(body).expect("a receipt").order).collect()
}

pub(crate) async fn push(store: &Store, order: i64) -> Uuid {
    store.transaction(async move |tx| tx.push(SendReceipt { order }).await).await.expect("pushed")
}

pub(crate) async fn waiting(store: &Store) -> u64 {
    store.outbox().await.expect("a status").waiting
}

pub(crate) async fn emptied(store: &Store) {
    until(async || waiting(store).await == 0).await;
}
