//! What a demo leaves in a Redis that is not its own.

use anyhow::Result;
use millstream_queue::Client;
use redis::cmd;

/// Removes all keys of the namespace, which is a name without the characters of patterns.
pub(crate) async fn remove(redis_url: &str, namespace: &str) -> Result<()> {
    let client = Client::builder(redis_url).namespace(namespace).await?;
    let mut connection = client.connection().await?;
    let mut cursor = 0_u64;
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{namespace}:*")).arg("COUNT").arg(1_000);
        let (next, keys): (u64, Vec<String>) = scan.query_async(&mut connection).await?;
        if !keys.is_empty() {
            cmd("UNLINK").arg(&keys).exec_async(&mut connection).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}
