//! The HTTP interface.
//!
//! | | |
//! |---|---|
//! | `PUT /texts/{purpose}/{version}` | publishes `{"title", "body"}` as the next version: the text |
//! | `GET /texts` | a list of texts |
//! | `POST /grants` | `{"id"?, "subject", "purpose", "version", "method", "actor", "source"}`: the record, 201 |
//! | `POST /withdrawals` | the same without `version` |
//! | `GET /consents/{subject}/{purpose}` | the present state; 404 where there never was one |
//! | `GET /consents`, `/records`, `/suppressions` | lists |
//! | `GET /records/{id}` | one record |
//! | `GET /records.ndjson` | all records that the filters let through, one line each, as they are read |
//! | `GET /verify?length=&hash=` | whether the chain is whole, and continues the head that was kept |
//! | `POST /exports` | `{"subject"}`: 202 `{"id"}` |
//! | `GET /exports/{id}?wait=` | the document; 202 where it isn't made within `wait` seconds (10, at most 30) |
//! | `GET /livez`, `/readyz`, `/healthz` | the worker's health |
//!
//! Lists are `{"rows", "next"}` and take filters (`purpose=newsletter`, `at.ge=2026-01-01`), `sort=-at`, `limit=50` (from 1 to
//! 1000, what is outside is brought inside), and `after=` the `next` of the page before. Every error is
//! `{"error": "what was wrong"}` with its status.

mod consents;
mod error;
mod exports;
mod extract;
mod lists;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{get, post, put};
use millstream_queue::Client;
use millstream_store::Store;

use crate::{Consent, Ledger, Record, Suppression, Text};

pub use error::ApiError;

#[derive(Clone, FromRef)]
struct App {
    ledger: Ledger,
    client: Client,
    store: Store,
}

/// All routes but those of the worker's health.
pub fn router(ledger: Ledger, client: Client) -> Router {
    let app = App { store: ledger.store().clone(), ledger, client };
    Router::new()
        .route("/texts/{purpose}/{version}", put(consents::publish))
        .route("/texts", get(lists::list::<Text>))
        .route("/grants", post(consents::grant))
        .route("/withdrawals", post(consents::withdraw))
        .route("/consents", get(lists::list::<Consent>))
        .route("/consents/{subject}/{purpose}", get(consents::present))
        .route("/records", get(lists::list::<Record>))
        .route("/records/{id}", get(consents::record))
        .route("/records.ndjson", get(lists::stream))
        .route("/suppressions", get(lists::list::<Suppression>))
        .route("/verify", get(consents::verify))
        .route("/exports", post(exports::ask))
        .route("/exports/{id}", get(exports::show))
        .fallback(error::no_such_page)
        .method_not_allowed_fallback(error::wrong_method)
        .with_state(app)
}
