//! What every test starts with.

use std::{future::Future, time::Duration};

use millstream_queue::{Client, ClientBuilder, Event, Job};
use millstream_tests::{namespace, shared_redis};
use redis::{FromRedisValue, ToRedisArgs, aio::MultiplexedConnection};
use serde::{Deserialize, Serialize};

/// What has not happened by then will not; nothing is waited for as long on purpose.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happens).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Asks again until the answer is yes: for states of the server that nothing signals.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let look = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(what, look).await;
}

/// A client in a namespace of its own, and a plain connection beside it.
pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) redis: Raw,
}

pub(crate) async fn stage() -> Stage {
    let url = shared_redis().await.expect("a server");
    stage_at(&url).await
}

pub(crate) async fn stage_at(url: &str) -> Stage {
    Stage { client: builder(url).await.expect("a client"), redis: Raw::connect(url).await }
}

pub(crate) fn builder(url: &str) -> ClientBuilder {
    Client::builder(url).namespace(namespace())
}

impl Stage {
    pub(crate) fn lane(&self, lane: millstream_queue::Lane) -> String {
        self.client.keys(Number::QUEUE).ready(lane)
    }

    pub(crate) fn log<E: Event>(&self) -> String {
        millstream_queue::keys::event_log(self.client.namespace(), E::NAME)
    }
}

/// A connection that sends what it is told.
#[derive(Clone)]
pub(crate) struct Raw(pub(crate) MultiplexedConnection);

pub(crate) type Entries = Vec<(String, Vec<(String, String)>)>;

impl Raw {
    pub(crate) async fn connect(url: &str) -> Self {
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let client = redis::Client::open(url).expect("a URL");
        Self(client.get_multiplexed_async_connection_with_config(&config).await.expect("a connection"))
    }

    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[impl ToRedisArgs]) -> T {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        command.query_async(&mut self.0.clone()).await.expect("an answer")
    }

    pub(crate) async fn entries(&self, key: &str) -> Entries {
        let raw: Vec<(String, Vec<String>)> = self.ask(&["XRANGE", key, "-", "+"]).await;
        let pair = |fields: Vec<String>| fields.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        raw.into_iter().map(|(id, fields)| (id, pair(fields))).collect()
    }

    pub(crate) async fn length(&self, key: &str) -> usize {
        self.ask(&["XLEN", key]).await
    }

    /// The server's connections of a type whose last command was `command`.
    pub(crate) async fn connections(&self, kind: &str, command: &str) -> usize {
        let list: String = self.ask(&["CLIENT", "LIST", "TYPE", kind]).await;
        list.lines().filter(|line| line.contains(&format!(" cmd={command}"))).count()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Number(pub(crate) u64);

impl Job for Number {
    const KIND: &'static str = "number";
    const QUEUE: &'static str = "numbers";
}

impl Event for Number {
    const NAME: &'static str = "number";
}
