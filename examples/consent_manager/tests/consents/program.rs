//! The program as a user starts it: a real process, a real socket.

use std::time::Duration;

use consent_manager::{ConsentWithdrawn, ExportSubject, Suppression};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http1::handshake, header};
use hyper_util::rt::TokioIo;
use millstream_store::{Data, Id, List, Op, Time};
use millstream_tests::Process;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::stage::{Stage, no, on_both, until, yes};

const SOON: Duration = Duration::from_secs(60);

/// The program, once it listens, and where it does.
async fn program(stage: &Stage) -> (Process, String) {
    let process = Process::builder(env!("CARGO_BIN_EXE_consent_manager"))
        .args(["--listen", "127.0.0.1:0", "--redis-url", &stage.redis, "--database-url", &stage.database])
        .args(["--namespace", stage.client.namespace()])
        .spawn()
        .unwrap();
    let line = process.wait_for_line(SOON, |line| line.starts_with("listening on ")).await.unwrap();
    let host = line.text.trim_start_matches("listening on http://").to_owned();
    (process, host)
}

async fn ask(host: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let (mut server, connection) = handshake(TokioIo::new(TcpStream::connect(host).await.unwrap())).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header(header::HOST, host);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    let response = server.send_request(request.body(Full::new(Bytes::from(body.to_string()))).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn suppressed(host: &str, subject: &str) -> bool {
    let (_, page) = ask(host, "GET", &format!("/suppressions?subject={subject}"), Value::Null).await;
    page["rows"].as_array().unwrap().len() == 1
}

on_both! {
    async fn the_whole_program_acts_upon_withdrawals_and_ends_in_order(stage: Stage) {
        // One that another process took down before it crashed.
        stage.ledger.grant(yes("bob")).await.unwrap();
        stage.ledger.withdraw(no("bob")).await.unwrap();
        // One that somebody else wrote to the topic, which no database takes: the others must not wait for it.
        let (subject, purpose) = ("\0".to_owned(), "news".to_owned());
        let odd = ConsentWithdrawn { seq: 1, record: Id::new().0, subject, purpose, at: Time::now() };
        stage.client.publish(odd).await.unwrap();

        let (mut process, host) = program(&stage).await;
        until("bob is suppressed", async || suppressed(&host, "bob").await).await;
        let mut body = json!({
            "subject": "ann", "purpose": "news", "version": 1, "method": "web_form", "actor": "ann", "source": "here",
        });
        assert_eq!(ask(&host, "POST", "/grants", body.clone()).await.0, 201);
        body.as_object_mut().unwrap().remove("version");
        assert_eq!(ask(&host, "POST", "/withdrawals", body).await.0, 201);
        until("ann is suppressed", async || suppressed(&host, "ann").await).await;
        assert_eq!(ask(&host, "GET", "/readyz", Value::Null).await.0, 200);

        let (status, asked) = ask(&host, "POST", "/exports", json!({ "subject": "ann" })).await;
        assert_eq!(status, 202);
        let path = format!("/exports/{}?wait=30", asked["id"].as_str().unwrap());
        let (status, document) = ask(&host, "GET", &path, Value::Null).await;
        assert_eq!((status, document["records"].as_array().unwrap().len()), (200, 2));

        let ended = process.shut_down(SOON).await;
        assert!(ended.success(), "{ended}: {}", process.tail());
        // The recorder ended last: the job is in the history.
        let done = stage.ledger.store().history().job::<ExportSubject>().limit(10).await.unwrap();
        assert_eq!(done.rows.len(), 1);
    }

    async fn a_killed_program_loses_no_withdrawal(stage: Stage) {
        let (mut process, host) = program(&stage).await;
        for round in 0..5 {
            let subject = format!("subject-{round}");
            let grant = json!({
                "subject": subject, "purpose": "news", "version": 1, "method": "web_form", "actor": "a", "source": "s",
            });
            assert_eq!(ask(&host, "POST", "/grants", grant.clone()).await.0, 201);
            let mut withdrawal = grant;
            withdrawal.as_object_mut().unwrap().remove("version");
            assert_eq!(ask(&host, "POST", "/withdrawals", withdrawal).await.0, 201);
        }
        process.kill().await;
        let (_process, host) = program(&stage).await;
        for round in 0..5 {
            let subject = format!("subject-{round}");
            until("the subject is suppressed", async || suppressed(&host, &subject).await).await;
        }
        let list = List::new().filter("purpose", Op::Eq, "news");
        assert_eq!(stage.ledger.store().count::<Suppression>(list).await.unwrap(), 5);
    }
}
