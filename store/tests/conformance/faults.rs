//! Files and servers that fail, and processes that die.

use std::{
    env,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use futures::future::join_all;
use millstream_store::{Data, Error, List, Store};
use millstream_tests::Postgres;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    database::{Database, sql},
    packs::until,
    shop::{Contact, opened, shop},
};

const ROLE: &str = "MILLSTREAM_TEST_ROLE";
const URL: &str = "MILLSTREAM_TEST_URL";

/// Another process of this test, with a role to play in [`plays_its_role`].
fn process(role: &str, url: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["--exact", "faults::plays_its_role", "--nocapture"]);
    command.env(ROLE, role).env(URL, url).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// Nothing in a test run; a role in a process that [`process`] started.
#[tokio::test(flavor = "multi_thread")]
async fn plays_its_role() {
    let (Ok(role), Ok(url)) = (env::var(ROLE), env::var(URL)) else { return };
    match role.as_str() {
        "writer" => write(&url).await,
        "small disk" => on_a_small_disk(&url).await,
        "read-only" => on_a_read_only_disk(&url).await,
        other => panic!("{other:?} is no role"),
    }
}

/// Writes for ever, in transactions that read first, and says each that was kept.
async fn write(url: &str) {
    let store = Store::builder(url).checkout_timeout(Duration::from_secs(30)).await.expect("a store");
    loop {
        let kept = store.transaction(async move |tx| {
            let before = tx.count::<Contact>(List::new()).await?;
            tx.insert_many((0..5).map(|_| Contact::aged("kept", before.cast_signed())).collect()).await?;
            Ok::<_, Error>(())
        });
        kept.await.expect("nothing is locked");
        println!("kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_write_one_file_and_one_is_killed() {
    let database = Database::sqlite().await;
    let store = shop(&database).await;
    let mut writers: Vec<Child> =
        (0..4).map(|_| process("writer", &database.url).spawn().expect("a process")).collect();
    let lines = writers.iter_mut().map(|writer| BufReader::new(writer.stdout.take().expect("piped")).lines());
    let mut lines: Vec<_> = lines.collect();
    let kept = async |lines: &mut tokio::io::Lines<BufReader<tokio::process::ChildStdout>>, count: usize| {
        let mut kept = 0;
        while kept < count {
            let line = lines.next_line().await.expect("its output").expect("it lives, and never met a lock");
            kept += usize::from(line.contains("kept"));
        }
    };
    join_all(lines.iter_mut().map(|lines| kept(lines, 10))).await;
    writers[0].kill().await.expect("killed");
    join_all(lines[1..].iter_mut().map(|lines| kept(lines, 10))).await;
    for writer in &mut writers[1..] {
        assert!(writer.try_wait().expect("its state").is_none(), "it still writes");
        writer.kill().await.expect("killed");
    }
    let check = store.raw_sqlite(|conn| conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)));
    assert_eq!(check.await.expect("checked"), "ok");
    let count = store.count::<Contact>(List::new()).await.expect("a count");
    assert!(count >= 4 * 50 + 3 * 50 && count % 5 == 0, "whole transactions only: {count}");
}

/// Runs a role with a tmpfs of its own in a mount namespace of its own.
async fn on_a_disk(role: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("history.db").display());
    let inner = process(role, &url);
    let inner = inner.as_std();
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "sh", "-c", r#"mount -t tmpfs -o size=1m tmpfs "$1" && shift && exec "$@""#, "disk"]);
    command.arg(folder.path()).arg(inner.get_program()).args(inner.get_args());
    command.env(ROLE, role).env(URL, &url).stdin(Stdio::null());
    let output = command.output().await.expect("unshare, of util-linux");
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

#[tokio::test]
async fn a_full_disk_is_told_and_nothing_is_half_written() {
    on_a_disk("small disk").await;
}

async fn on_a_small_disk(url: &str) {
    let store = opened(Store::connect(url).await.expect("a store")).await;
    let big = |count: usize| (0..count).map(|_| Contact::new(&"x".repeat(10_000))).collect::<Vec<_>>();
    let mut kept = 0;
    let error = loop {
        match store.insert_many(big(5)).await {
            Ok(count) => kept += count as u64,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("disk is full"), "{error}");
    assert_eq!(store.count::<Contact>(List::new()).await.expect("a count"), kept, "all of an insert or nothing");
    let failed = store.transaction(async move |tx| {
        tx.insert(&Contact::new("small")).await?;
        tx.insert_many(big(50)).await
    });
    let error = failed.await.expect_err("no room");
    assert!(error.to_string().contains("disk is full"), "{error}");
    assert_eq!(store.count::<Contact>(List::new()).await.expect("a count"), kept);
    assert_eq!(
        sql(&store, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'").await.expect("it"),
        1
    );
    assert!(store.check_pools().await.iter().all(|pool| pool.is_healthy()), "reading works on");
}

#[tokio::test]
async fn a_read_only_disk_is_told() {
    on_a_disk("read-only").await;
}

async fn on_a_read_only_disk(url: &str) {
    let path = Path::new(url.trim_start_matches("sqlite://")).to_owned();
    let store = opened(Store::connect(url).await.expect("a store")).await;
    store.insert(&Contact::new("before")).await.expect("inserted");
    let remount = |how: &str| {
        let folder = path.parent().expect("a folder");
        let done = std::process::Command::new("mount").args(["-o", how]).arg(folder).status();
        assert!(done.expect("mount").success());
    };
    drop(store);
    // A connection that is being closed still writes.
    let started = Instant::now();
    while path.with_extension("db-wal").exists() && started.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    remount("remount,ro");
    let error = match Store::connect(url).await {
        Ok(store) => store.insert(&Contact::new("after")).await.map(drop).expect_err("no writing here"),
        Err(error) => error,
    };
    let said = error.to_string();
    assert!(["readonly", "read-only", "Read-only", "unable to open"].iter().any(|word| said.contains(word)), "{said}");
    remount("remount,rw");
    let store = Store::connect(url).await.expect("a store");
    assert_eq!(store.count::<Contact>(List::new()).await.expect("a count"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_and_a_damaged_one_are_told() {
    let database = Database::sqlite().await;
    let path = database.url.trim_start_matches("sqlite://").to_owned();
    let error = Store::builder(&database.url).create_missing(false).await.expect_err("missing");
    assert!(error.to_string().contains("no such file"), "{error}");
    assert!(!Path::new(&path).exists());

    let store = shop(&database).await;
    let pages = store.raw_sqlite(|conn| conn.query_row("PRAGMA page_count", [], |row| row.get::<_, u32>(0)));
    let pages = pages.await.expect("a count");
    store.insert_many((0..500).map(|age| Contact::aged(&"x".repeat(500), age)).collect()).await.expect("inserted");
    store.raw_sqlite(|conn| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))).await.expect("one file");
    drop(store);
    let mut bytes = std::fs::read(&path).expect("the file");
    // All pages lose their heads but those of the schema.
    for page in bytes.chunks_mut(4096).skip(pages as usize) {
        page[..64].fill(0xA5);
    }
    std::fs::write(&path, bytes).expect("damaged");
    let damaged = Store::connect(&database.url).await.expect("its first page is whole");
    let error = damaged.list::<Contact>(List::new().limit(1000)).await.expect_err("damaged");
    assert!(error.to_string().contains("malformed"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_in_a_text_is_refused_by_postgres_and_nothing_is_half_written() {
    let database = Database::postgres().await;
    let store = shop(&database).await;
    let error = store.insert_many(vec![Contact::new("good"), Contact::new("a\0b")]).await.expect_err("refused");
    assert!(error.to_string().contains("invalid byte sequence") && error.to_string().contains("0x00"), "{error}");
    assert_eq!(store.count::<Contact>(List::new()).await.expect("a count"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_restarts_is_found_again_by_every_pool() {
    let mut server = Postgres::start().await.expect("a Postgres");
    let store = opened(Store::connect(&server.url()).await.expect("a store")).await;
    let row = store.insert(&Contact::new("before")).await.expect("inserted");
    let read = row.clone();
    let open = store.transaction(async move |tx| {
        tx.update(&read).await?;
        std::future::pending::<Result<(), Error>>().await
    });
    let _ = tokio::time::timeout(Duration::from_millis(300), open).await;
    server.restart().await.expect("restarted");
    until(async || store.check_pools().await.iter().all(|pool| pool.is_healthy())).await;
    assert_eq!(store.get(row.id).await.expect("read"), Some(row), "the open transaction is gone");
    store.insert(&Contact::new("after")).await.expect("inserted");
}
