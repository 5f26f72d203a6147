use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode},
};
use chrono::{Datelike, Utc};
use finance::{
    App, make_statement,
    web::{Api, router},
};
use http_body_util::BodyExt;
use millstream_queue::Client;
use millstream_tests::{Database, namespace, on_both, shared_redis};
use millstream_worker::Worker;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::books::books;

struct Caller {
    app: Router,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Caller {
    async fn new(database: &Database) -> Self {
        let store = books(database).await;
        let client = Client::builder(&shared_redis().await.unwrap()).namespace(namespace()).await.unwrap();
        let worker = Worker::new(client.clone(), App { store: store.clone() }).handle(make_statement);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(worker.run_until(stopped));
        Self { app: router(Api { store, client }), _stop: stop }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let answer = self.app.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.post_with_key(path, None, body).await
    }

    async fn post_with_key(&self, path: &str, key: Option<&str>, body: Value) -> (StatusCode, Value) {
        let request = Request::builder().method(Method::POST).uri(path).header("content-type", "application/json");
        let request = match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn account(&self, name: &str, may_overdraw: bool) -> String {
        let body = json!({ "name": name, "kind": "asset", "currency": "EUR", "may_overdraw": may_overdraw });
        let (status, account) = self.post("/accounts", body).await;
        assert_eq!(status, StatusCode::CREATED, "{account}");
        account["id"].as_str().unwrap().to_owned()
    }
}

on_both! {
    async fn money_moves_over_http(database: Database) {
        let caller = Caller::new(&database).await;
        let (source, wallet) = (caller.account("source", true).await, caller.account("wallet", false).await);
        let order = json!({ "from": source, "to": wallet, "amount": 2500, "memo": "salary" });
        let (status, made) = caller.post_with_key("/transfers", Some("may"), order.clone()).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        assert_eq!(caller.post_with_key("/transfers", Some("may"), order).await, (StatusCode::OK, made.clone()));
        let other = json!({ "from": source, "to": wallet, "amount": 1 });
        assert_eq!(caller.post_with_key("/transfers", Some("may"), other).await.0, StatusCode::CONFLICT);

        let (_, account) = caller.get(&format!("/accounts/{wallet}")).await;
        assert_eq!((&account["balance"], &account["name"]), (&json!(2500), &json!("wallet")));
        let (_, lines) = caller.get(&format!("/accounts/{source}/lines?sort=-created_at")).await;
        assert_eq!((&lines["rows"][0]["amount"], &lines["next"]), (&json!(-2500), &Value::Null));
        let transfer = made["id"].as_str().unwrap();
        assert_eq!(caller.get(&format!("/transfers/{transfer}")).await, (StatusCode::OK, made.clone()));
        let (status, back) = caller.post(&format!("/transfers/{transfer}/reversal"), json!(null)).await;
        assert_eq!((status, &back["reverses"]), (StatusCode::CREATED, &json!(transfer)));
        assert_eq!(caller.post(&format!("/transfers/{transfer}/reversal"), json!(null)).await.0, StatusCode::OK);
        let (_, page) = caller.get("/transfers?limit=1&sort=-created_at").await;
        assert_eq!(page["rows"][0]["id"], back["id"]);
        let after = page["next"].as_str().unwrap();
        let (_, rest) = caller.get(&format!("/transfers?limit=1&sort=-created_at&after={after}")).await;
        assert_eq!((&rest["rows"][0]["id"], &rest["next"]), (&made["id"], &Value::Null));
    }

    async fn statements_are_made_on_request(database: Database) {
        let caller = Caller::new(&database).await;
        let wallet = caller.account("wallet", false).await;
        let (status, made) = caller.post(&format!("/accounts/{wallet}/statements/2020-02"), json!(null)).await;
        assert_eq!((status, &made["closing"], &made["month"]), (StatusCode::OK, &json!(0), &json!("2020-02")), "{made}");
        let again = caller.post(&format!("/accounts/{wallet}/statements/2020-02"), json!(null)).await;
        assert_eq!(again, (StatusCode::OK, made.clone()));
        let (_, all) = caller.get(&format!("/accounts/{wallet}/statements?month=2020-02")).await;
        assert_eq!(all["rows"], json!([made]));
        let now = Utc::now();
        let running = format!("/accounts/{wallet}/statements/{}-{:02}", now.year(), now.month());
        let (status, error) = caller.post(&running, json!(null)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{error}");
    }

    async fn bad_requests_are_told_what_is_wrong(database: Database) {
        let caller = Caller::new(&database).await;
        let wallet = caller.account("wallet", false).await;
        for (path, status, reason) in [
            ("/accounts?name=' OR 1=1--", StatusCode::OK, ""),
            ("/accounts?balance=' OR 1=1--", StatusCode::BAD_REQUEST, "a whole number"),
            ("/accounts?secret=1", StatusCode::BAD_REQUEST, "there is no such column to filter"),
            ("/accounts?sort=balance;DROP TABLE accounts", StatusCode::BAD_REQUEST, "to sort by"),
            ("/accounts?page=-1", StatusCode::BAD_REQUEST, "a page from 1"),
            ("/accounts?limit=1000000000", StatusCode::BAD_REQUEST, "1 to 1000 rows"),
            ("/accounts?q=a%00b", StatusCode::BAD_REQUEST, "without NUL"),
            ("/accounts?after=zz", StatusCode::BAD_REQUEST, "is no cursor"),
            ("/accounts/7", StatusCode::BAD_REQUEST, "is no id"),
            ("/accounts/00000000-0000-0000-0000-000000000000/lines", StatusCode::NOT_FOUND, "there is no"),
            ("/nothing", StatusCode::NOT_FOUND, "nothing at /nothing"),
        ] {
            let (told, body) = caller.get(&path.replace(' ', "%20").replace('\'', "%27")).await;
            assert_eq!(told, status, "{path}: {body}");
            assert!(body["error"].as_str().unwrap_or_default().contains(reason), "{path}: {body}");
        }
        let statement = format!("/accounts/{wallet}/statements/2026-13");
        assert_eq!(caller.post(&statement, json!(null)).await.0, StatusCode::BAD_REQUEST);
        for body in [
            json!({ "from": wallet, "to": "x", "amount": 1 }),
            json!({ "from": wallet, "to": wallet, "amount": 1.5 }),
            json!({ "from": wallet, "to": wallet, "amount": 1, "key": "x" }),
            json!({ "from": wallet, "to": wallet, "amount": 1 }),
        ] {
            let (status, error) = caller.post("/transfers", body).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{error}");
        }
        let form = Request::post("/transfers").header("content-type", "text/plain").body(Body::from("{}")).unwrap();
        assert_eq!(caller.send(form).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let empty = Request::post("/accounts").header("content-type", "application/json").body(Body::empty()).unwrap();
        assert_eq!(caller.send(empty).await.0, StatusCode::BAD_REQUEST);
        assert_eq!(caller.post("/accounts/7", json!(null)).await.0, StatusCode::METHOD_NOT_ALLOWED);
    }
}
