//! The servers that other tests stand on.

use std::io::{Read, Write};
use std::net::TcpStream;

use millstream_tests::{Postgres, Redis, SmallDisk, fresh_database, namespace};

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

/// Both need Linux: the C library's functions are replaced, and a tmpfs or a limit of another process's files is set.
#[cfg(target_os = "linux")]
mod on_linux {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    /// Seconds by which the server's clock is ahead of the machine's.
    fn ahead(redis: &Redis) -> i64 {
        let time = ask(redis, "TIME"); // an array of two bulk strings, the first of which has the seconds
        let seconds: i64 = time.lines().nth(2).and_then(|line| line.parse().ok()).expect("seconds");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
        seconds - i64::try_from(now).expect("seconds")
    }

    #[tokio::test]
    async fn the_clock_of_a_server_is_set_while_it_runs_and_stays_through_a_restart() {
        let mut redis = Redis::builder().own_clock().start().await.unwrap();
        assert!(ahead(&redis).abs() <= 2);
        for seconds in [120, -86_400, 120] {
            redis.set_clock(seconds).unwrap();
            assert!((ahead(&redis) - seconds).abs() <= 2, "{} instead of {seconds}", ahead(&redis));
        }
        redis.restart().await.unwrap();
        assert!((ahead(&redis) - 120).abs() <= 2);
        assert!(Redis::start().await.unwrap().set_clock(1).is_err());
    }

    #[tokio::test]
    async fn a_disk_is_filled_and_freed_while_its_server_runs() {
        for disk in [SmallDisk::of(1024 * 1024), SmallDisk::FileLimit] {
            let redis = Redis::builder().aof(true).disk(disk).start().await.unwrap();
            let said_in_time = |command: &str, wanted: &str| {
                let began = std::time::Instant::now();
                while !ask(&redis, command).contains(wanted) {
                    assert!(began.elapsed().as_secs() < 30, "{disk:?}: {command} is never answered with {wanted}");
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            };
            assert_eq!(ask(&redis, "SET key value"), "+OK");
            redis.fill_disk().unwrap();
            said_in_time("SET key value", "-MISCONF");
            said_in_time("PING", "-MISCONF");
            redis.free_disk().unwrap();
            said_in_time("SET key value", "+OK");
        }
        assert!(Redis::start().await.unwrap().fill_disk().is_err());
    }
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
