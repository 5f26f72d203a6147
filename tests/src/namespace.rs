//! Names that nobody else uses.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// A name for one test's keys, unique among all processes that share a server.
///
/// It is a valid namespace and, since it has only lower-case letters, digits and `_`, a valid database name.
#[must_use]
pub fn namespace() -> String {
    unique("test")
}

/// A name like [`namespace`]'s with another beginning: `<prefix>_<process>_<counter>_<random>`.
#[must_use]
pub fn unique(prefix: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
    // The process id alone repeats: within days on one machine, at once between containers that share a server.
    let random = RandomState::new().build_hasher().finish() as u32;
    format!("{prefix}_{}_{counter}_{random:08x}", process::id())
}

#[cfg(test)]
mod tests {
    use super::namespace;

    #[test]
    fn two_namespaces_differ_and_have_plain_characters() {
        let (one, two) = (namespace(), namespace());
        assert_ne!(one, two);
        assert!(one.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    }
}
