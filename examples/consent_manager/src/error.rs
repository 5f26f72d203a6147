use millstream_queue::Trouble;
use uuid::Uuid;

/// What can go wrong with consents. Messages name the value that was wrong and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsentError {
    /// A field can't be accepted.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What was wrong with it and what would be right.
        reason: String,
    },

    /// A grant names a text that was never published.
    #[error("there is no text {version} of the purpose {purpose:?}; grants name the version that the person read")]
    UnknownText {
        /// The purpose.
        purpose: String,
        /// The version.
        version: i64,
    },

    /// A grant names words that are no longer in force.
    #[error("version {version} of {purpose:?} is superseded by version {newest}: ask the person to agree to that one")]
    Superseded {
        /// The purpose.
        purpose: String,
        /// The version that was named.
        version: i64,
        /// The version in force.
        newest: i64,
    },

    /// A withdrawal of what isn't granted.
    #[error("{subject:?} has not granted {purpose:?}, so there is nothing to withdraw")]
    NotGranted {
        /// The person.
        subject: String,
        /// The purpose.
        purpose: String,
    },

    /// Another record has the id that the caller chose.
    #[error("the id {0} belongs to another record; an id may be sent again only with the same statement")]
    IdTaken(Uuid),

    /// A text is to be published under a number that isn't the next one.
    #[error("the next version of {purpose:?} is {next}, not {version}; a text that was published never changes")]
    NotNext {
        /// The purpose.
        purpose: String,
        /// The version that was named.
        version: i64,
        /// The one that would be right.
        next: i64,
    },

    /// What was asked for isn't there.
    #[error("there is no {0}")]
    NotFound(String),

    /// A subject has more records than one document may hold.
    #[error(
        "{subject:?} has {records} records, more than an export's {most}: stream /records.ndjson?subject=… instead"
    )]
    TooMany {
        /// The person.
        subject: String,
        /// How many there are.
        records: u64,
        /// How many there may be.
        most: u64,
    },

    /// The database.
    #[error(transparent)]
    Store(#[from] millstream_store::Error),

    /// Redis.
    #[error(transparent)]
    Queue(#[from] millstream_queue::Error),
}

impl ConsentError {
    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }
}

impl Trouble for ConsentError {
    fn cause(&self) -> String {
        match self {
            Self::Queue(error) | Self::Store(millstream_store::Error::Queue(error)) => error.cause(),
            other => other.to_string(),
        }
    }
}
