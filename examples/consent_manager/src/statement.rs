//! What somebody declares, and the rules for every name in it.

use millstream_store::Id;
use serde::Deserialize;

use crate::{Action, ConsentError, Record};

/// Longest subject, method, actor and source, in characters.
const LONGEST: usize = 200;

/// A grant or a withdrawal as it is declared.
///
/// The subject is an opaque id, such as that of your table of users: what leads from it to a person is kept there, and can
/// be erased there, while the chain stays whole.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The record's id, chosen by the caller so that a request may be repeated. Default: a fresh one.
    #[serde(default)]
    pub id: Option<Id>,
    /// Whose consent it is.
    pub subject: String,
    /// What for: the purpose of a published text.
    pub purpose: String,
    /// For a grant, the version of the text that the person read; left out for a withdrawal.
    #[serde(default)]
    pub version: Option<i64>,
    /// How it was declared: `web_form`, `phone`, `paper`.
    pub method: String,
    /// Who took it down: the person, a clerk, an import.
    pub actor: String,
    /// Where the evidence is: an address, the number of a document.
    pub source: String,
}

impl Statement {
    pub(crate) fn check(&self, action: Action) -> Result<(), ConsentError> {
        check_subject(&self.subject)?;
        check_purpose(&self.purpose)?;
        check_line("method", &self.method, LONGEST)?;
        check_line("actor", &self.actor, LONGEST)?;
        check_line("source", &self.source, LONGEST)?;
        match (action, self.version) {
            (Action::Granted, None) => Err(ConsentError::invalid("version", "name the text that the person read")),
            (Action::Withdrawn, Some(_)) => {
                Err(ConsentError::invalid("version", "leave it out: a withdrawal takes back whatever is granted"))
            }
            _ => Ok(()),
        }
    }

    /// Whether `record` is what an earlier try of this statement appended.
    pub(crate) fn is_kept_by(&self, record: &Record, action: Action) -> bool {
        record.action == action
            && record.subject == self.subject
            && record.purpose == self.purpose
            && self.version.is_none_or(|version| version == record.version)
            && record.method == self.method
            && record.actor == self.actor
            && record.source == self.source
    }
}

pub(crate) fn check_subject(subject: &str) -> Result<(), ConsentError> {
    check_line("subject", subject, LONGEST)
}

pub(crate) fn check_purpose(purpose: &str) -> Result<(), ConsentError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.');
    if (1..=64).contains(&purpose.len()) && purpose.chars().all(plain) {
        return Ok(());
    }
    Err(ConsentError::invalid("purpose", "1 to 64 of a-z 0-9 _ - . are needed"))
}

/// A text of one line.
pub(crate) fn check_line(field: &'static str, text: &str, longest: usize) -> Result<(), ConsentError> {
    if text.trim().is_empty() || text.chars().count() > longest || text.chars().any(char::is_control) {
        return Err(ConsentError::invalid(
            field,
            format!("1 to {longest} characters without control characters are needed"),
        ));
    }
    Ok(())
}
