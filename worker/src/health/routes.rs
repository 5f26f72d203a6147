//! Health over HTTP.

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use serde::Serialize;

use super::Health;

/// A verdict and what it rests on.
#[derive(Serialize)]
struct Answer<T> {
    /// `ok`, or `failed`.
    status: &'static str,
    problems: Vec<String>,
    #[serde(flatten)]
    details: T,
}

impl Health {
    /// Routes to mount into an application, or to serve on a port of their own, each with a JSON body:
    ///
    /// - `/livez`: 200 while every fetch loop makes progress, else 503. Asks nobody, so it answers at once.
    /// - `/readyz`: 200 while the worker runs, Redis answers and no [check](crate::Worker::check) fails, else 503.
    /// - `/healthz`: 200 while both are true and no queue has too many outcomes waiting for a recorder, else 503: for
    ///   alerts, since neither a restart nor less traffic would help.
    ///
    /// The bodies name queues, the server's host and port, and the errors of checks in their own words.
    ///
    /// ```no_run
    /// # async fn example(worker: millstream_worker::Worker<()>) -> Result<(), Box<dyn std::error::Error>> {
    /// let app = axum::Router::new().merge(worker.health().routes());
    /// let listener = tokio::net::TcpListener::bind("0.0.0.0:8080").await?;
    /// tokio::spawn(async { axum::serve(listener, app).await });
    /// worker.run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let (live, ready, healthy) = (self.clone(), self.clone(), self.clone());
        Router::new()
            .route(
                "/livez",
                get(async move || {
                    let liveness = live.liveness();
                    answer(liveness.is_live(), liveness.problems(), liveness)
                }),
            )
            .route(
                "/readyz",
                get(async move || {
                    let report = ready.report().await;
                    answer(report.is_ready(), report.problems(), report)
                }),
            )
            .route(
                "/healthz",
                get(async move || {
                    let report = healthy.report().await;
                    answer(report.is_healthy(), report.problems(), report)
                }),
            )
    }
}

fn answer<T: Serialize>(is_well: bool, problems: Vec<String>, details: T) -> impl IntoResponse + use<T> {
    let (code, status) = if is_well { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    (code, Json(Answer { status, problems, details }))
}
