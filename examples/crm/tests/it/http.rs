use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode},
};
use crm::{
    Import, ImportContacts, ask_for, import_contacts,
    web::{Api, router},
};
use http_body_util::BodyExt;
use millstream_queue::Job;
use millstream_store::{Data, Id};
use millstream_tests::{Database, on_both};
use millstream_worker::Worker;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tower::ServiceExt;

use crate::desk::Desk;

struct Caller {
    app: Router,
    desk: Desk,
}

impl Caller {
    async fn new(database: &Database) -> Self {
        let desk = Desk::with_limit(database, 10_000).await;
        let (store, client, uploads) = (desk.store.clone(), desk.client.clone(), desk.uploads.clone());
        Self { app: router(Api { store, client, uploads }), desk }
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let path = path.replace(' ', "%20").replace('\'', "%27");
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let answer = self.app.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Method::GET, path, "", Body::empty()).await
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(Method::POST, path, "application/json", body.to_string()).await
    }

    async fn put(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(Method::PUT, path, "application/json", body.to_string()).await
    }
}

on_both! {
    async fn a_contact_lives_over_http(database: Database) {
        let caller = Caller::new(&database).await;
        let (status, acme) = caller.post("/companies", json!({ "name": "Acme", "domain": "acme.example" })).await;
        assert_eq!(status, StatusCode::CREATED, "{acme}");
        let ann = json!({ "name": "Ann", "email": "ann@acme.example", "company": acme["id"] });
        let (status, ann) = caller.post("/contacts", ann).await;
        assert_eq!((status, &ann["version"], &ann["phone"]), (StatusCode::CREATED, &json!(1), &Value::Null), "{ann}");
        let path = format!("/contacts/{}", ann["id"].as_str().unwrap());
        assert_eq!(caller.get(&path).await, (StatusCode::OK, ann.clone()));

        let change = json!({ "name": "Ann B.", "email": "ann@acme.example", "phone": "+49 1", "version": 1 });
        let (status, changed) = caller.put(&path, change.clone()).await;
        assert_eq!((status, &changed["version"], &changed["company"]), (StatusCode::OK, &json!(2), &Value::Null));
        let (status, stale) = caller.put(&path, change).await;
        assert_eq!((status, &stale["current"]), (StatusCode::CONFLICT, &changed), "{stale}");
        let again = json!({ "name": "Other", "email": "ANN@acme.example" });
        let (status, taken) = caller.post("/contacts", again).await;
        assert_eq!((status, taken), (StatusCode::CONFLICT, json!({ "error": "another contact has this email" })));

        let deal = json!({ "title": "Desks", "company": acme["id"], "contact": ann["id"], "stage": "won", "amount": 4200,
            "currency": "EUR" });
        assert_eq!(caller.post("/deals", deal).await.0, StatusCode::CREATED);
        let (_, totals) = caller.get("/pipeline").await;
        assert_eq!(totals, json!([{ "stage": "won", "currency": "EUR", "deals": 1, "amount": 4200 }]));
        let (_, deals) = caller.get("/deals?stage=won&amount.ge=4200&sort=-amount").await;
        assert_eq!(deals["rows"][0]["title"], "Desks");
        let (_, found) = caller.get("/search?q=acme").await;
        assert_eq!((&found["contacts"][0]["id"], &found["companies"][0]["id"]), (&ann["id"], &acme["id"]));

        assert_eq!(caller.send(Method::DELETE, &path, "", "").await, (StatusCode::NO_CONTENT, Value::Null));
        assert_eq!(caller.send(Method::DELETE, &path, "", "").await.0, StatusCode::NOT_FOUND);
        assert_eq!(caller.get(&path).await.0, StatusCode::NOT_FOUND);
    }

    async fn pages_follow_one_another(database: Database) {
        let caller = Caller::new(&database).await;
        for number in 0..5 {
            let fields = json!({ "name": format!("Person {number}"), "email": format!("p{number}@example.com") });
            caller.post("/contacts", fields).await;
        }
        let (mut names, mut after) = (Vec::new(), String::new());
        loop {
            let (status, page) = caller.get(&format!("/contacts?limit=2&sort=-name&after={after}")).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            names.extend(page["rows"].as_array().unwrap().iter().map(|row| row["name"].clone()));
            match page["next"].as_str() {
                Some(next) => after = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(names, ["Person 4", "Person 3", "Person 2", "Person 1", "Person 0"]);
    }

    async fn a_file_is_imported_over_http(database: Database) {
        let caller = Caller::new(&database).await;
        let file = "name,email\nAnn,ann@example.com\n,x@example.com\nBob,bob\nCat,cat@example.com\n";
        let (status, import) = caller.send(Method::POST, "/imports?file=list.csv", "text/csv; charset=utf-8", file).await;
        assert_eq!((status, &import["state"], &import["file"]), (StatusCode::ACCEPTED, &json!("waiting"), &json!("list.csv")));
        let path = format!("/imports/{}", import["id"].as_str().unwrap());
        assert_eq!(caller.get(&path).await, (StatusCode::OK, import.clone()));

        let desk = &caller.desk;
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = Worker::new(desk.client.clone(), desk.app()).handle(import_contacts);
        let working = tokio::spawn(worker.run_until(stopped));
        let id = Id(import["id"].as_str().unwrap().parse().unwrap());
        let job = ask_for(&desk.client, &desk.store.get::<Import>(id).await.unwrap().unwrap()).await.unwrap();
        desk.client.result::<Import>(ImportContacts::QUEUE, job).await.unwrap();
        let (_, report) = caller.get(&path).await;
        assert_eq!((&report["state"], &report["imported"], &report["bad"]), (&json!("done"), &json!(2), &json!(2)));
        let (_, first) = caller.get(&format!("{path}/bad_rows?limit=1")).await;
        let facts = (&first["rows"][0]["line"], &first["rows"][0]["reason"]);
        assert_eq!(facts, (&json!(3), &json!("the name is missing")));
        let next = first["next"].as_str().unwrap();
        let (_, second) = caller.get(&format!("{path}/bad_rows?limit=1&after={next}")).await;
        assert_eq!((&second["rows"][0]["line"], &second["next"]), (&json!(4), &Value::Null));
        let (_, people) = caller.get(&format!("/contacts?import={id}&sort=name")).await;
        assert_eq!((&people["rows"][0]["name"], &people["rows"][1]["name"]), (&json!("Ann"), &json!("Cat")));

        let csv = async |path, kind, body: Vec<u8>| caller.send(Method::POST, path, kind, body).await.0;
        assert_eq!(csv("/imports", "text/csv", vec![b'x'; 10_001]).await, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(csv("/imports", "text/csv", vec![]).await, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(csv("/imports", "application/json", b"{}".to_vec()).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(csv("/imports?file=a%00b", "text/csv", b"x".to_vec()).await, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(csv("/imports?name=x", "text/csv", b"x".to_vec()).await, StatusCode::BAD_REQUEST);
        assert_eq!(desk.files(), 0);
        drop(stop);
        working.await.unwrap().unwrap();
    }

    async fn bad_requests_are_told_what_is_wrong(database: Database) {
        let caller = Caller::new(&database).await;
        for (path, status, reason) in [
            ("/contacts?name=' OR 1=1--", StatusCode::OK, ""),
            ("/deals?amount=' OR 1=1--", StatusCode::BAD_REQUEST, "a whole number"),
            ("/contacts?secret=1", StatusCode::BAD_REQUEST, "there is no such column to filter"),
            ("/contacts?deleted_at.null=false", StatusCode::BAD_REQUEST, "there is no such column to filter"),
            ("/deals?sort=amount;DROP TABLE deals", StatusCode::BAD_REQUEST, "to sort by"),
            ("/contacts?page=-1", StatusCode::BAD_REQUEST, "a page from 1"),
            ("/contacts?limit=1000000000", StatusCode::BAD_REQUEST, "1 to 1000 rows"),
            ("/contacts?q=a%00b", StatusCode::BAD_REQUEST, "without NUL"),
            ("/contacts?after=zz", StatusCode::BAD_REQUEST, "is no cursor"),
            ("/contacts?company=7", StatusCode::BAD_REQUEST, "a UUID"),
            ("/contacts/7", StatusCode::BAD_REQUEST, "is no id"),
            ("/search", StatusCode::BAD_REQUEST, "a text to search for"),
            ("/search?q=a%00b", StatusCode::BAD_REQUEST, "without NUL"),
            ("/deals/00000000-0000-0000-0000-000000000000", StatusCode::NOT_FOUND, "there is no"),
            ("/imports/00000000-0000-0000-0000-000000000000/bad_rows", StatusCode::NOT_FOUND, "there is no"),
            ("/imports/x/bad_rows", StatusCode::BAD_REQUEST, "is no id"),
            ("/nothing", StatusCode::NOT_FOUND, "nothing at /nothing"),
        ] {
            let (told, body) = caller.get(path).await;
            assert_eq!(told, status, "{path}: {body}");
            assert!(body["error"].as_str().unwrap_or_default().contains(reason), "{path}: {body}");
        }
        for body in [
            json!({ "name": "Ann" }),
            json!({ "name": "Ann", "email": "ann" }),
            json!({ "name": "A\0", "email": "a@b.de" }),
            json!({ "name": "Ann", "email": "a@b.de", "company": "7" }),
            json!({ "name": "Ann", "email": "a@b.de", "company": Id::new() }),
            json!({ "name": "Ann", "email": "a@b.de", "id": Id::new() }),
            json!({ "name": "Ann", "email": "a@b.de", "version": 1 }),
            json!([]),
        ] {
            let (status, error) = caller.post("/contacts", body.clone()).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {error}");
        }
        let (status, error) = caller.put(&format!("/contacts/{}", Id::new()), json!({ "name": "Ann", "email": "a@b.de" })).await;
        assert!(status == StatusCode::UNPROCESSABLE_ENTITY && error["error"].as_str().unwrap().contains("version"), "{error}");
        let unknown = json!({ "name": "Ann", "email": "a@b.de", "version": 1 });
        assert_eq!(caller.put(&format!("/contacts/{}", Id::new()), unknown).await.0, StatusCode::NOT_FOUND);
        let post = async |kind, body: &'static str| caller.send(Method::POST, "/contacts", kind, body).await.0;
        assert_eq!(post("text/plain", "{}").await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(post("application/json", "").await, StatusCode::BAD_REQUEST);
        assert_eq!(post("application/json", "{\"name\":").await, StatusCode::BAD_REQUEST);
        assert_eq!(caller.post("/contacts/7", json!({})).await.0, StatusCode::METHOD_NOT_ALLOWED);
    }
}
