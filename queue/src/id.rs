//! Ids of jobs: UUIDs. Version 7 by default, version 8 where the id follows from something else.

use sha1::{Digest, Sha1};
use sha2::Sha256;
use uuid::Uuid;

/// A fresh id: time-ordered, monotonic within the process.
pub(crate) fn fresh() -> Uuid {
    Uuid::now_v7()
}

/// The id of a job that its caller named: UUIDv8 of the first 16 bytes of SHA-256 over namespace, queue and key, each
/// followed by a NUL. The same key always gives the same id.
pub(crate) fn keyed(namespace: &str, queue: &str, key: &str) -> Uuid {
    let mut hash = Sha256::new();
    for part in [namespace, queue, key] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::new_v8(bytes)
}

/// The id of an entry that carries none: UUIDv8 of the stream id's milliseconds (48 bits, so that ids sort by time) and
/// the first ten bytes of SHA-1 over `<lane's key> <stream id>`. SHA-1 because scripts must derive the same id and
/// Redis offers them no other digest; two lanes may hold equal stream ids, hence the key.
pub fn derived_id(lane_key: &str, stream_id: &str) -> Uuid {
    let milliseconds: u64 = stream_id.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or(0);
    let mut hash = Sha1::new();
    hash.update(lane_key.as_bytes());
    hash.update(b" ");
    hash.update(stream_id.as_bytes());
    let digest: [u8; 20] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&digest[..10]);
    Uuid::new_v8(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_one_id_in_one_queue_of_one_namespace() {
        let id = keyed("ms", "mail", "welcome:7");
        assert_eq!(id, keyed("ms", "mail", "welcome:7"));
        assert_ne!(id, keyed("ms", "mail", "welcome:8"));
        assert_ne!(id, keyed("ms", "post", "welcome:7"));
        assert_ne!(keyed("a", "bc", "d"), keyed("ab", "c", "d"));
        assert_eq!(id.get_version_num(), 8);
    }

    #[test]
    fn equal_stream_ids_in_two_lanes_are_two_jobs() {
        let high = derived_id("ms:{q}:ready:high", "1700000000000-0");
        let low = derived_id("ms:{q}:ready:low", "1700000000000-0");
        assert_ne!(high, low);
        assert!(high < derived_id("ms:{q}:ready:high", "1700000000001-0"));
    }
}
