//! The program as a user starts it.

use learning_core::{CourseCompleted, RemindStreak};
use millstream_queue::{Job, Live, Position, State};
use millstream_store::Id;
use millstream_tests::Process;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::site::{SOON, Site, on_both, relay};

/// The JSON of a good answer.
async fn post(host: &str, path: &str, body: Value) -> Value {
    let body = body.to_string();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 20"), "{path}: {answer}");
    serde_json::from_str(body).unwrap()
}

fn start(site: &Site) -> Process {
    Process::builder(env!("CARGO_BIN_EXE_learning_core"))
        .args(["--listen", "127.0.0.1:0", "--namespace", &site.namespace])
        .env("REDIS_URL", site.redis.clone())
        .env("DATABASE_URL", site.database.clone())
        .env("RUST_LOG", "info")
        .spawn()
        .unwrap()
}

on_both! {
    async fn one_process_serves_works_records_and_ends_in_order(site: Site) {
        let mut program = start(&site);
        let line = program.wait_for_line(SOON, |line| line.starts_with("listening on http://")).await.unwrap();
        let host = line.text.strip_prefix("listening on http://").unwrap();
        let lessons = json!([{"title": "Knots", "seconds": 300}]);
        let course = post(host, "/api/courses", json!({"title": "Sailing", "lessons": lessons})).await;
        let ann = json!({"name": "Ann", "email": "ann@example.org", "time_zone": "Asia/Kathmandu"});
        let learner = post(host, "/api/learners", ann).await;
        let enrolment = json!({"learner_id": learner["id"], "course_id": course["id"]});
        let enrolment = post(host, "/api/enrolments", enrolment).await;
        let learning = site.learning().await;
        let mut completions = learning.client.follow::<CourseCompleted>().since(Position::START).await.unwrap();
        let path = format!("/api/enrolments/{}/progress", enrolment["id"].as_str().unwrap());
        let progress = post(host, &path, json!({"completed": [course["lessons"][0]["id"]]})).await;
        assert!(progress["completed_at"].is_string());

        let Live::Event(event) = completions.next().await.unwrap() else { panic!("nothing was trimmed") };
        assert_eq!(event.data.enrolment.to_string(), enrolment["id"].as_str().unwrap());
        assert_eq!(event.subject.as_deref(), learner["id"].as_str());
        // A reminder of nobody: it ends at once, as cancelled.
        let stray = learning.client.push(RemindStreak { learner: Id::new() }).keep_result(SOON).await.unwrap();
        learning.client.result::<()>(RemindStreak::QUEUE, stray).within(SOON).await.unwrap_err();
        // A connection that says nothing doesn't hold the exit.
        let _silent = TcpStream::connect(host).await.unwrap();
        let status = program.shut_down(SOON).await;
        assert!(status.success(), "{status}: {}", program.tail());

        // Even the outcome of a job that ended just before is in the history.
        let done = learning.store.history().job::<RemindStreak>().limit(10).await.unwrap();
        let done: Vec<_> = done.rows.iter().map(|job| (job.id, job.state)).collect();
        assert_eq!(done, [(stray, State::Cancelled)]);
        // What the last request left in the outbox outlives the process, as a reminder that waits does.
        relay(&learning).await;
        let reminders = learning.client.keys(RemindStreak::QUEUE).later();
        let mut conn = learning.client.connection().await.unwrap();
        let waiting: u64 = redis::cmd("ZCARD").arg(reminders).query_async(&mut conn).await.unwrap();
        assert_eq!(waiting, 1, "the reminder outlives the process");
    }
}
