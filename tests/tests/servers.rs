//! The servers that other tests stand on.

use std::io::{Read, Write};
use std::net::TcpStream;

use millstream_tests::{Postgres, Redis, fresh_database, namespace};

/// What the server says to one inline command.
fn ask(redis: &Redis, command: &str) -> String {
    let talk = || -> std::io::Result<String> {
        let mut server = TcpStream::connect(("127.0.0.1", redis.port()))?;
        server.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
        let mut replies = String::new();
        server.read_to_string(&mut replies)?;
        Ok(replies)
    };
    let replies = talk().expect("the server answers");
    let own = replies.strip_suffix("+OK\r\n").unwrap_or(&replies); // without the one to QUIT
    own.trim_end().to_owned()
}

#[tokio::test]
async fn two_servers_run_beside_each_other() {
    let (one, two) = (Redis::start().await.unwrap(), Redis::start().await.unwrap());
    assert_ne!(one.url(), two.url());
    assert_eq!(ask(&one, "SET who one"), "+OK");
    assert_eq!(ask(&one, "GET who"), "$3\r\none");
    assert_eq!(ask(&two, "GET who"), "$-1");
}

#[tokio::test]
async fn a_server_with_an_append_only_file_keeps_its_data_through_kill_9() {
    let mut redis = Redis::builder().aof(true).args(["--appendfsync", "always"]).start().await.unwrap();
    let (url, pid) = (redis.url(), redis.pid());
    ask(&redis, "SET kept yes");
    redis.kill().await;
    assert!(TcpStream::connect(("127.0.0.1", redis.port())).is_err());

    redis.restart().await.unwrap();

    assert_eq!(redis.url(), url);
    assert_ne!(redis.pid(), pid);
    assert_eq!(ask(&redis, "GET kept"), "$3\r\nyes");
}

#[tokio::test]
async fn a_server_without_persistence_forgets() {
    let mut redis = Redis::start().await.unwrap();
    ask(&redis, "SET kept yes");
    redis.restart().await.unwrap();
    assert_eq!(ask(&redis, "GET kept"), "$-1");
}

#[tokio::test]
async fn dropping_a_server_ends_it_and_removes_its_folder() {
    let redis = Redis::start().await.unwrap();
    let (port, dir) = (redis.port(), redis.dir().to_owned());
    drop(redis);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let redis = Redis::start().await.unwrap();
    let error = Redis::builder().port(redis.port()).start().await.unwrap_err();
    assert!(format!("{error:#}").contains("Address already in use"), "{error:#}");
}

#[tokio::test]
async fn a_postgres_gives_fresh_databases_and_leaves_nothing() {
    let postgres = Postgres::start().await.unwrap();
    let dir = postgres.dir().to_owned();
    let name = namespace();
    let url = postgres.database(&name).await.unwrap();
    assert!(url.ends_with(&name), "{url}");
    assert_ne!(fresh_database(&url).await.unwrap(), fresh_database(&url).await.unwrap());
    let error = postgres.database(&name).await.unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
    drop(postgres);
    assert!(!dir.exists());
}
