//! Which of a queue's jobs are meant.

use crate::{Entry, Job, Options};

/// Which of a queue's jobs are meant: all, or those of a kind, with a tag, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    kind: Option<String>,
    tag: Option<String>,
}

impl Filter {
    /// Every job.
    pub fn all() -> Self {
        Self::default()
    }

    /// Jobs of the type `J`.
    pub fn job<J: Job>() -> Self {
        Self::all().kind(J::KIND)
    }

    /// Only jobs of this kind.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Only jobs with this tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Whether the job is meant.
    pub fn matches(&self, job: &Entry) -> bool {
        let has_tag = |tag: &String| Options::parse(job.options.as_deref()).tags.contains(tag);
        self.kind.as_ref().is_none_or(|kind| *kind == job.kind) && self.tag.as_ref().is_none_or(has_tag)
    }

    /// Whether everything is meant, even what can't be read as a job.
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::default()
    }
}
