use millstream_store::{
    Id,
    diesel::result::{DatabaseErrorKind, Error as Diesel},
};

/// What can go wrong with a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none of this id.
    #[error("there is no {what} {id}")]
    NoSuch {
        /// `course`, `learner` or `enrolment`.
        what: &'static str,
        /// The id.
        id: Id,
    },
    /// A value is out of its bounds.
    #[error("{field} should be {rule}")]
    Invalid {
        /// The field of the request.
        field: &'static str,
        /// What would be right.
        rule: String,
    },
    /// There is such a row already.
    #[error("{0}")]
    Taken(&'static str),
    /// So many devices reported at once that this one never got its turn.
    #[error("too many reports on the enrolment {0} at once: send it again")]
    Busy(Id),
    /// The database, a list that is not allowed, or a version that is no longer there.
    #[error(transparent)]
    Store(#[from] millstream_store::Error),
    /// A job or an event that can't be written down.
    #[error(transparent)]
    Queue(#[from] millstream_queue::Error),
}

impl Error {
    pub(crate) fn invalid(field: &'static str, rule: impl Into<String>) -> Self {
        Self::Invalid { field, rule: rule.into() }
    }

    /// An insert's error, told apart from one that says that the row is there.
    pub(crate) fn unless_taken(error: millstream_store::Error, taken: &'static str) -> Self {
        match error {
            millstream_store::Error::Query(Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
                Self::Taken(taken)
            }
            error => Self::Store(error),
        }
    }
}

/// A text of a request, trimmed, of 1 to `most` characters that a database can hold.
pub(crate) fn text(field: &'static str, value: &str, most: usize) -> Result<String, Error> {
    let value = value.trim();
    let fits = (1..=most).contains(&value.chars().count()) && !value.chars().any(char::is_control);
    let rule = || Error::invalid(field, format!("a text of 1 to {most} characters without control characters"));
    if fits { Ok(value.to_owned()) } else { Err(rule()) }
}
