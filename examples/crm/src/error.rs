use millstream_store::Error;
use serde_json::Value;

/// Why nothing changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrmError {
    #[error("{0}")]
    Invalid(String),
    #[error("there is no {what} {id}")]
    Missing { what: &'static str, id: String },
    #[error("{what} {id} is no longer version {version}: repeat the change on the current one")]
    Stale {
        what: &'static str,
        id: String,
        version: i64,
        /// The row as it is now.
        current: Box<Value>,
    },
    #[error("{0}")]
    Taken(&'static str),
    #[error("a file to import has at most {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the file did not arrive whole: {0}")]
    CutOff(String),
    #[error("the folder of uploads failed: {0}")]
    Disk(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] Error),
}
