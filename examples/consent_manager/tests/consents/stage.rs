//! A ledger with a router, on a database and a namespace of its own.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use consent_manager::{Draft, Ledger, Statement, web};
use http_body_util::BodyExt;
use millstream_queue::Client;
use millstream_store::{Error, Store};
use millstream_tests::{Database, namespace, shared_redis};
use serde_json::Value;
use tower::ServiceExt;

pub(crate) struct Stage {
    pub(crate) ledger: Ledger,
    pub(crate) client: Client,
    pub(crate) database: String,
    pub(crate) redis: String,
    _kept: Database,
}

impl Stage {
    /// With one text, the first of the purpose `news`.
    pub(crate) async fn on(kept: Database) -> Self {
        let redis = shared_redis().await.unwrap();
        let client = Client::builder(&redis).namespace(namespace()).await.unwrap();
        let ledger = Ledger::open(Store::connect(&kept.url).await.unwrap()).await.unwrap();
        ledger.publish_text("news", 1, draft("We write once a week.")).await.unwrap();
        Self { ledger, client, database: kept.url.clone(), redis, _kept: kept }
    }

    pub(crate) fn router(&self) -> Router {
        web::router(self.ledger.clone(), self.client.clone())
    }

    /// Asks the router; a body is sent as JSON.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let kind = body.is_some().then_some("application/json");
        self.send(method, path, kind, body.map(|body| body.to_string()).unwrap_or_default()).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, kind: Option<&str>, body: String) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let response = self.router().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&body);
        (status, value.unwrap_or_else(|_| panic!("{method} {path}: {}", String::from_utf8_lossy(&body))))
    }

    /// Runs plain SQL, past the program.
    pub(crate) async fn sql(&self, statement: &str) -> Result<(), Error> {
        let store = self.ledger.store();
        if self.is_postgres() {
            return Ok(store.raw_postgres().await?.batch_execute(statement).await?);
        }
        let statement = statement.to_owned();
        store.raw_sqlite(move |conn| conn.execute_batch(&statement)).await
    }

    /// Runs plain SQL as somebody who may take the triggers away.
    pub(crate) async fn tamper(&self, statement: &str) {
        if self.is_postgres() {
            let off = "ALTER TABLE records DISABLE TRIGGER USER; ALTER TABLE texts DISABLE TRIGGER USER;";
            self.sql(&format!("{off} {statement}")).await.unwrap();
        } else {
            let off = "DROP TRIGGER IF EXISTS records_stay; DROP TRIGGER IF EXISTS records_are_kept;
                       DROP TRIGGER IF EXISTS texts_stay; DROP TRIGGER IF EXISTS records_are_not_replaced;";
            self.sql(&format!("{off} {statement}")).await.unwrap();
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.database.starts_with("postgres")
    }
}

pub(crate) fn draft(body: &str) -> Draft {
    Draft { title: "Newsletter".into(), body: body.into() }
}

fn statement(subject: &str, version: Option<i64>) -> Statement {
    Statement {
        id: None,
        subject: subject.into(),
        purpose: "news".into(),
        version,
        method: "web_form".into(),
        actor: subject.into(),
        source: "https://example.org/signup".into(),
    }
}

/// `subject` agrees to the first text of `news`.
pub(crate) fn yes(subject: &str) -> Statement {
    statement(subject, Some(1))
}

/// `subject` doesn't any more.
pub(crate) fn no(subject: &str) -> Statement {
    statement(subject, None)
}

/// Looks until it holds; a test that waits for more than 30 s has failed.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("30 s without: {what}"));
}

/// [`millstream_tests::on_both`] with a stage on each database.
macro_rules! on_both {
    ($(async fn $name:ident($stage:ident: Stage) $body:block)+) => {
        millstream_tests::on_both! {$(
            async fn $name(database: millstream_tests::Database) {
                let $stage = crate::stage::Stage::on(database).await;
                $body
            }
        )+}
    };
}
pub(crate) use on_both;
