//! A worker process whose server can't be used at its start.

use std::time::{Duration, Instant};

use millstream_tests::{Redis, free_port, shared_redis};

use crate::probe;

/// What the process says for its end, which comes within three seconds.
async fn refusal(url: &str) -> String {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let began = Instant::now();
    let process = probe::process(url, &client, &[]);
    let line = process.wait_for_line(Duration::from_secs(10), |line| line.contains("can't start: ")).await.unwrap();
    assert_eq!(process.exited().await.code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(3), "{} took {:?}", line.text, began.elapsed());
    line.text
}

#[tokio::test]
async fn a_worker_whose_server_is_down_says_so_at_once() {
    let port = free_port().unwrap();
    let refusal = refusal(&format!("redis://127.0.0.1:{port}")).await;
    assert!(refusal.contains(&format!("127.0.0.1:{port}")) && refusal.contains("refused"), "{refusal}");
}

#[tokio::test]
async fn a_worker_with_a_wrong_password_says_so_at_once_and_does_not_show_it() {
    let redis = Redis::builder().args(["--requirepass", "right-secret"]).start().await.unwrap();
    for credentials in [":wrong-secret@", ""] {
        let refusal = refusal(&format!("redis://{credentials}127.0.0.1:{}", redis.port())).await;
        assert!(refusal.contains("AUTH") || refusal.contains("auth") || refusal.contains("WRONGPASS"), "{refusal}");
        assert!(!refusal.contains("secret"), "{refusal}");
    }
}

#[tokio::test]
async fn a_worker_with_a_wrong_database_says_so_at_once() {
    let redis = Redis::start().await.unwrap();
    let refusal = refusal(&format!("{}/99", redis.url())).await;
    assert!(refusal.contains("database") || refusal.contains("DB index"), "{refusal}");
}
