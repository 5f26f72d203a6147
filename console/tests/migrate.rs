//! `millstream migrate` in processes of its own, on both databases.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says enough: the line and the error")]

use std::process::{Output, Stdio};

use futures::future::join_all;
use millstream_store::{EmbeddedMigration, Migrations, Store};
use millstream_tests::{fresh_database, shared_postgres};
use tokio::process::Command;

/// An empty database of each kind; the folder goes with the test.
async fn databases() -> (tempfile::TempDir, [String; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}", folder.path().join("history.db").display());
    let postgres = fresh_database(&shared_postgres().await.unwrap()).await.unwrap();
    (folder, [postgres, sqlite])
}

fn migrate(url: &str, arguments: &[&str]) -> impl Future<Output = std::io::Result<Output>> {
    Command::new(env!("CARGO_BIN_EXE_millstream"))
        .arg("migrate")
        .args(arguments)
        .args(["--database-url", url])
        .stdin(Stdio::null())
        .output()
}

async fn said(url: &str, arguments: &[&str]) -> (bool, String) {
    let output = migrate(url, arguments).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn eight_processes_at_once_on_an_empty_database_all_succeed() {
    let (_folder, urls) = databases().await;
    for url in &urls {
        let mut winners = 0;
        for output in join_all((0..8).map(|_| migrate(url, &[]))).await {
            let output = output.unwrap();
            let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            assert!(output.status.success(), "{err}");
            winners += usize::from(out.contains(", now"));
        }
        assert_eq!(winners, 1, "{url}");
        assert_eq!(Store::connect(url).await.unwrap().history().count().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_dry_run_tells_what_would_happen_and_does_nothing() {
    let (folder, urls) = databases().await;
    let (ok, text) = said(&urls[1], &["--dry-run"]).await;
    assert!(!ok && text.contains("no such file"), "{text}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    std::fs::File::create(folder.path().join("history.db")).unwrap();
    for url in &urls {
        let (ok, text) = said(url, &["--dry-run"]).await;
        assert!(ok && text.contains("would work") && text.contains("nothing was changed"), "{text}");
        let (ok, text) = said(url, &["status"]).await;
        assert!(!ok && text.contains("pending"), "{text}");
    }
}

#[tokio::test]
async fn down_asks_first_and_takes_back_one_after_the_other() {
    let (_folder, urls) = databases().await;
    for url in &urls {
        let (ok, text) = said(url, &["up"]).await;
        assert!(ok, "{text}");
        for careful in [&["down"][..], &["down", "--yes", "--dry-run"]] {
            let (ok, text) = said(url, careful).await;
            assert!(!ok && text.contains("nothing was changed; repeat with --yes"), "{text}");
            assert!(said(url, &["status"]).await.0);
        }
        let (ok, text) = said(url, &["down", "--steps", "99", "--yes"]).await;
        assert!(ok && text.contains("0001 history") && text.contains("taken back"), "{text}");
        let (ok, text) = said(url, &["down", "--yes"]).await;
        assert!(!ok && text.contains("nothing is applied"), "{text}");
        assert!(said(url, &[]).await.0, "and forward again");
    }
}

#[tokio::test]
async fn a_newer_programs_migrations_are_shown_and_left_alone() {
    const NEWER: EmbeddedMigration = EmbeddedMigration::new("9999", "of_the_future", "SELECT 1", "SELECT 1");
    let (_folder, urls) = databases().await;
    for url in &urls {
        let store = Store::connect(url).await.unwrap();
        let shop = Migrations::new("shop", &[NEWER], &[NEWER]);
        store.migrator().with(shop).up().await.unwrap();
        let rename = "UPDATE millstream_migrations SET owner = 'millstream' WHERE owner = 'shop'";
        if url.starts_with("postgres") {
            store.raw_postgres().await.unwrap().batch_execute(rename).await.unwrap();
        } else {
            store.raw_sqlite(|conn| conn.execute_batch(rename)).await.unwrap();
        }
        let (ok, text) = said(url, &["status"]).await;
        assert!(ok && text.contains("9999 of_the_future") && text.contains("by a newer program"), "{text}");
        assert!(said(url, &[]).await.0);
    }
}
