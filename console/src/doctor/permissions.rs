//! May this user do what Millstream does? Tried out on keys of a queue that nobody has, since a user who may run
//! commands may still not ask `ACL DRYRUN`.

use std::time::Duration;

use millstream_queue::keys::{Lane, QueueKeys};
use redis::{Cmd, RedisError, Script, ServerErrorKind, aio::MultiplexedConnection, cmd};
use uuid::Uuid;

use super::report::Report;

/// Checks commands, key patterns and channel patterns.
pub(super) async fn check(report: &mut Report, url: &str, conn: &mut MultiplexedConnection, namespace: &str) {
    let keys = QueueKeys::new(namespace, &format!("doctor-{}", Uuid::new_v4().simple()));
    streams(report, conn, &keys, namespace).await;
    scripts(report, conn, &keys).await;
    channels(report, url, conn, &keys, namespace).await;
    // Whatever was refused above: nothing of it stays.
    let used = [keys.ready(Lane::Normal), keys.control(), keys.later()];
    let _: Result<i64, RedisError> = cmd("DEL").arg(&used).query_async(conn).await;
}

async fn streams(report: &mut Report, conn: &mut MultiplexedConnection, keys: &QueueKeys, namespace: &str) {
    let stream = keys.ready(Lane::Normal);
    let command = |name: &str, arguments: &[&str]| {
        let mut command = cmd(name);
        command.arg(arguments);
        command
    };
    let tries: [(&str, Cmd); 14] = [
        ("XGROUP CREATE", command("XGROUP", &["CREATE", &stream, "workers", "0", "MKSTREAM"])),
        ("XADD", command("XADD", &[&stream, "1-1", "kind", "doctor", "body", "{}"])),
        ("XREADGROUP", command("XREADGROUP", &["GROUP", "workers", "doctor", "STREAMS", &stream, ">"])),
        ("XPENDING", command("XPENDING", &[&stream, "workers"])),
        ("XAUTOCLAIM", command("XAUTOCLAIM", &[&stream, "workers", "doctor", "0", "0"])),
        ("XINFO CONSUMERS", command("XINFO", &["CONSUMERS", &stream, "workers"])),
        ("XACK", command("XACK", &[&stream, "workers", "1-1"])),
        ("XDEL", command("XDEL", &[&stream, "1-1"])),
        ("XRANGE", command("XRANGE", &[&stream, "-", "+"])),
        ("HSET", command("HSET", &[&keys.control(), "doctor", "1"])),
        ("HINCRBY", command("HINCRBY", &[&keys.control(), "doctor", "1"])),
        ("ZADD", command("ZADD", &[&keys.later(), "1", "doctor"])),
        ("CLIENT ID", command("CLIENT", &["ID"])),
        ("DEL", command("DEL", &[&stream, &keys.control(), &keys.later()])),
    ];
    for (name, command) in &tries {
        if let Err(error) = command.query_async::<redis::Value>(conn).await {
            return refused(report, "streams", name, &error, namespace);
        }
    }
    report.ok("streams", "this user may use streams, hashes and sorted sets of the namespace");
}

async fn scripts(report: &mut Report, conn: &mut MultiplexedConnection, keys: &QueueKeys) {
    let script = Script::new("#!lua flags=allow-oom\nredis.call('DEL', KEYS[1]) return redis.call('TIME')[1]");
    match script.key(keys.control()).invoke_async::<String>(conn).await {
        Ok(_) => report.ok("scripts", "this user may load and run scripts"),
        Err(error) if is_refusal(&error) => {
            report.fail("scripts", error, "ACL SETUSER <user> +eval +evalsha +script|load +time");
        }
        Err(error) => report.fail("scripts", error, "use a server with Lua scripts: Redis 7.0 or newer, or any Valkey"),
    }
}

async fn channels(report: &mut Report, url: &str, conn: &mut MultiplexedConnection, keys: &QueueKeys, namespace: &str) {
    let publish = cmd("PUBLISH").arg(keys.signal()).arg("doctor").query_async::<i64>(conn).await;
    let subscribe = async {
        let mut subscriber = redis::Client::open(url)?.get_async_pubsub().await?;
        subscriber.subscribe(keys.signal()).await
    };
    let subscribe = tokio::time::timeout(Duration::from_secs(2), subscribe);
    match (publish, subscribe.await) {
        (Err(error), _) => refused(report, "channels", "PUBLISH", &error, namespace),
        (_, Ok(Err(error))) => refused(report, "channels", "SUBSCRIBE", &error, namespace),
        (_, Err(_)) => report.fail("channels", "SUBSCRIBE was not answered within 2 s", "look into the server's log"),
        _ => report.ok("channels", "this user may publish and subscribe in the namespace"),
    }
}

fn refused(report: &mut Report, what: &str, command: &str, error: &RedisError, namespace: &str) {
    let found = format!("{command} is refused: {error}");
    if is_refusal(error) {
        let remedy = format!(
            "ACL SETUSER <user> ~{namespace}:* &{namespace}:* +@read +@write +@stream +@hash +@sortedset +@pubsub \
             +@scripting +@connection +info +time"
        );
        report.fail(what, found, &remedy);
    } else {
        report.fail(what, found, "the server can't take writes now; its log and INFO say why");
    }
}

fn is_refusal(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoPerm)
}
