//! The `millstream` command against real servers.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says enough: the line and the error")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use millstream_queue::{Client, Job};
use millstream_store::{Recorder, Store};
use millstream_tests::{Redis, free_port, fresh_database, namespace, shared_postgres, shared_redis};
use tokio::process::Command;

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// The one line on the check `what`.
    fn line(&self, what: &str) -> &str {
        let mut lines = self.out.lines().filter(|line| line.get(6..).is_some_and(|rest| rest.starts_with(what)));
        let line = lines.next().unwrap_or_else(|| panic!("no line on {what} in:\n{}{}", self.out, self.err));
        assert_eq!(lines.next(), None, "one line on {what}");
        line
    }
}

async fn millstream(arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_millstream"))
        .args(arguments)
        .env_remove("REDIS_URL")
        .env_remove("DATABASE_URL")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn sqlite(folder: &tempfile::TempDir) -> String {
    format!("sqlite://{}", folder.path().join("history.db").display())
}

#[tokio::test]
async fn migrate_creates_the_tables_and_says_so_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = shared_postgres().await.unwrap();
    for url in [sqlite(&folder), fresh_database(&server).await.unwrap()] {
        let url = ["--database-url", &url];
        let first = millstream(&[&["migrate"], &url[..]].concat()).await;
        assert_eq!(first.code, 0, "{}", first.err);
        assert!(first.out.contains("0001 history"), "{}", first.out);
        assert!(first.out.contains("now"), "{}", first.out);

        let second = millstream(&[&["migrate"], &url[..]].concat()).await;
        assert_eq!(second.code, 0, "{}", second.err);
        assert!(second.out.contains("applied 20") && second.out.contains("is up to date"), "{}", second.out);
        assert!(!second.out.contains("now"), "{}", second.out);
    }
}

#[tokio::test]
async fn status_changes_nothing_and_tells_pending_from_applied() {
    let server = shared_postgres().await.unwrap();
    let url = fresh_database(&server).await.unwrap();
    let status = ["migrate", "--status", "--database-url", &url];
    for _ in 0..2 {
        let said = millstream(&status).await;
        assert_eq!(said.code, 1);
        assert!(said.out.contains("0001 history              pending"), "{}", said.out);
    }
    Store::connect(&url).await.unwrap().migrate().await.unwrap();
    let said = millstream(&status).await;
    assert_eq!((said.code, said.out.contains("\n0 of ")), (0, true), "{}", said.out);

    let folder = tempfile::tempdir().unwrap();
    let said = millstream(&["migrate", "--status", "--database-url", &sqlite(&folder)]).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("no such file"), "{}", said.err);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn migrate_names_what_is_wrong_and_never_the_password() {
    let free = free_port().unwrap();
    let unreachable = format!("postgres://ann:s3cret@127.0.0.1:{free}/x");
    for (url, reason) in
        [(&*unreachable, "refused"), ("mysql://ann:s3cret@h/x", "sqlite://"), ("sqlite://:memory:", "name a file")]
    {
        let said = millstream(&["migrate", "--database-url", url]).await;
        assert_eq!(said.code, 1);
        assert!(said.err.contains(reason), "{}", said.err);
        assert!(!said.err.contains("s3cret"), "{}", said.err);
    }
    assert_eq!(millstream(&["migrate"]).await.code, 2);
}

#[tokio::test]
async fn help_names_the_checks_and_hides_the_environment() {
    let help = Command::new(env!("CARGO_BIN_EXE_millstream"))
        .args(["doctor", "--help"])
        .env("REDIS_URL", "redis://ann:s3cret@h")
        .output()
        .await
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("REDIS_URL") && help.contains("Exits with 1"), "{help}");
    assert!(!help.contains("s3cret"), "{help}");
}

#[tokio::test]
async fn a_healthy_house_gets_a_clean_bill() {
    let redis = Redis::builder().aof(true).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let database = sqlite(&folder);
    Store::connect(&database).await.unwrap().migrate().await.unwrap();
    let said = millstream(&["doctor", "--redis-url", &redis.url(), "--database-url", &database]).await;
    for what in ["redis", "version", "eviction", "persistence", "memory", "clock", "streams", "scripts", "channels"] {
        assert!(said.line(what).starts_with("ok"), "{}", said.line(what));
    }
    for what in ["database", "durability", "migrations", "rejected"] {
        assert!(said.line(what).starts_with("ok"), "{}", said.line(what));
    }
    assert!(said.line("queues").starts_with("skip"));
    assert_eq!(said.code, 0, "{}", said.out);

    // It leaves nothing behind.
    let client = redis_client(&redis.url()).await;
    let keys: Vec<String> = ::redis::cmd("KEYS").arg("*").query_async(&mut client.clone()).await.unwrap();
    assert_eq!(keys, [""; 0]);
}

async fn redis_client(url: &str) -> ::redis::aio::MultiplexedConnection {
    ::redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test]
async fn an_unreachable_redis_and_database_are_told_in_time() {
    let (one, two) = (free_port().unwrap(), free_port().unwrap());
    let started = Instant::now();
    let redis = format!("redis://ann:s3cret@127.0.0.1:{one}");
    let database = format!("postgres://ann:s3cret@127.0.0.1:{two}/x");
    let said = millstream(&["doctor", "--redis-url", &redis, "--database-url", &database]).await;
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert_eq!(said.code, 1);
    for what in ["redis", "database"] {
        let line = said.line(what);
        assert!(line.starts_with("fail") && line.contains("refused") && line.contains(" -> "), "{line}");
    }
    assert!(!said.out.contains("s3cret") && !said.err.contains("s3cret"), "{}{}", said.out, said.err);
}

#[tokio::test]
async fn a_database_without_tables_is_told_the_remedy() {
    let redis = shared_redis().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let doctor = ["doctor", "--redis-url", &redis, "--namespace", &namespace(), "--database-url", &sqlite(&folder)];
    let said = millstream(&doctor).await;
    assert!(said.line("database").contains("no such file"), "{}", said.out);
    assert_eq!((said.code, folder.path().read_dir().unwrap().count()), (1, 0));

    Store::connect(&sqlite(&folder)).await.unwrap();
    let said = millstream(&doctor).await;
    let line = said.line("migrations");
    assert!(line.starts_with("fail") && line.contains(" are pending -> millstream migrate"), "{line}");
    assert_eq!(said.code, 1);
}

#[tokio::test]
async fn a_wrong_password_is_called_one() {
    let redis = Redis::builder().args(["--requirepass", "right"]).start().await.unwrap();
    let wrong = redis.url().replace("redis://", "redis://:s3cret@");
    for url in [&wrong, &redis.url()] {
        let said = millstream(&["doctor", "--redis-url", url]).await;
        assert_eq!(said.code, 1);
        let line = said.line("redis");
        assert!(line.starts_with("fail") && line.contains("user and password"), "{line}");
        assert!(!said.out.contains("s3cret"), "{}", said.out);
    }
    let right = redis.url().replace("redis://", "redis://:right@");
    assert!(millstream(&["doctor", "--redis-url", &right]).await.line("redis").starts_with("ok"));
}

#[tokio::test]
async fn a_server_that_evicts_or_forgets_is_named() {
    let arguments = ["--maxmemory-policy", "allkeys-lru", "--maxmemory", "2mb"];
    let redis = Redis::builder().args(arguments).start().await.unwrap();
    let said = millstream(&["doctor", "--redis-url", &redis.url()]).await;
    assert_eq!(said.code, 1);
    let line = said.line("eviction");
    assert!(line.starts_with("fail") && line.contains("allkeys-lru") && line.contains("noeviction"), "{line}");
    let line = said.line("persistence");
    assert!(line.starts_with("warn") && line.contains("appendonly yes"), "{line}");
    assert!(said.line("memory").contains("of 2 MiB used"), "{}", said.line("memory"));
}

#[tokio::test]
async fn a_user_without_permissions_is_told_which() {
    let redis = Redis::start().await.unwrap();
    let mut admin = redis_client(&redis.url()).await;
    let mut user = async |name: &str, rules: &[&str]| {
        let _: () = ::redis::cmd("ACL")
            .arg(&["SETUSER", name, "on", ">pw", "reset", "on", ">pw"])
            .arg(rules)
            .query_async(&mut admin)
            .await
            .unwrap();
        let url = redis.url().replace("redis://", &format!("redis://{name}:pw@"));
        millstream(&["doctor", "--redis-url", &url]).await
    };

    let said = user("mute", &["+@all", "~*"]).await;
    assert!(said.line("channels").starts_with("fail") && said.line("channels").contains("&ms:*"), "{}", said.out);
    assert!(said.line("streams").starts_with("ok"), "{}", said.out);

    let said = user("stranger", &["+@all", "~other:*", "&*"]).await;
    assert!(said.line("streams").starts_with("fail") && said.line("streams").contains("~ms:*"), "{}", said.out);

    let said = user("plain", &["+@all", "-@scripting", "~*", "&*"]).await;
    assert!(said.line("scripts").starts_with("fail"), "{}", said.out);
    assert_eq!(said.code, 1);
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Resize;

impl Job for Resize {
    const KIND: &'static str = "resize";
    const QUEUE: &'static str = "photos";
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_without_workers_or_recorders_are_named() {
    let (url, namespace) = (shared_redis().await.unwrap(), namespace());
    let client = Client::builder(&url).namespace(&namespace).await.unwrap();
    let doctor = ["doctor", "--redis-url", &url, "--namespace", &namespace];
    client.push(Resize).await.unwrap();
    client.record("mail").await.unwrap();

    let said = millstream(&doctor).await;
    let line = said.line("queue photos");
    assert!(line.starts_with("fail") && line.contains("1 waiting") && line.contains("no living worker"), "{line}");
    assert!(said.line("history photos").starts_with("warn"), "{}", said.out);
    assert!(said.line("history mail").contains("0 recorders"), "{}", said.out);
    assert_eq!(said.code, 1);

    let folder = tempfile::tempdir().unwrap();
    let store = Store::connect(&sqlite(&folder)).await.unwrap();
    store.migrate().await.unwrap();
    let recorder = Recorder::new(client.clone(), store).queues(["photos"]);
    recorder.register().await.unwrap();
    let recording = tokio::spawn(recorder.run_until(std::future::pending()));
    let recorded = async {
        loop {
            let said = millstream(&doctor).await;
            if said.line("history photos").starts_with("ok") && said.line("history mail").starts_with("ok") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), recorded).await.unwrap();
    recording.abort();
}

#[tokio::test]
async fn a_namespace_that_cannot_be_one_is_refused() {
    let said = millstream(&["doctor", "--namespace", "a{b}"]).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("a{b}"), "{}", said.err);
}
