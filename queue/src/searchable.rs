//! Which fields of payloads the history can be searched by: job types declare them, workers note them in the queue's control
//! hash, so that a recorder, which knows no job type, finds them.

use std::collections::HashMap;

use redis::AsyncIter;

use crate::{Client, Error, names};

/// Control fields that name a kind's searchable fields begin with this.
const PREFIX: &str = "fields:";
/// Most fields of one job type.
const MOST: usize = 16;

/// The searchable fields of job types, by kind.
pub type Searchable = HashMap<String, Vec<String>>;

impl Client {
    /// Notes which fields of `kind`, in `queue`, the history can be searched by, as a worker does when it starts; none takes the
    /// note away. What is recorded from then on is found by them.
    ///
    /// # Errors
    /// [`Error::Name`] for what can't be the name of a queue, kind or field, or a seventeenth field;
    /// [`Error::Unreachable`], [`Error::Redis`].
    pub async fn declare_searchable(&self, queue: &str, kind: &str, fields: &[&str]) -> Result<(), Error> {
        names::check("queue", queue)?;
        names::check("kind", kind)?;
        check_searchable(fields)?;
        let name = format!("{PREFIX}{kind}");
        let control = self.keys(queue).control();
        let mut note = redis::cmd(if fields.is_empty() { "HDEL" } else { "HSET" });
        note.arg(control).arg(name);
        if !fields.is_empty() {
            note.arg(fields.join(" "));
        }
        Ok(note.exec_async(&mut self.connection().await?).await?)
    }

    /// The searchable fields of every kind in `queue` that a worker noted.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub async fn searchable(&self, queue: &str) -> Result<Searchable, Error> {
        names::check("queue", queue)?;
        let mut conn = self.connection().await?;
        let mut scan = redis::cmd("HSCAN");
        scan.arg(self.keys(queue).control())
            .cursor_arg(0)
            .arg("MATCH")
            .arg(format!("{PREFIX}*"))
            .arg("COUNT")
            .arg(1000);
        let mut found: AsyncIter<'_, (String, String)> = scan.iter_async(&mut conn).await?;
        let mut searchable = Searchable::new();
        while let Some(note) = found.next_item().await {
            let (name, fields) = note?;
            if let Some(kind) = name.strip_prefix(PREFIX) {
                let fields = fields.split_ascii_whitespace().take(MOST).map(str::to_owned).collect();
                searchable.insert(kind.to_owned(), fields);
            }
        }
        Ok(searchable)
    }
}

/// Whether a job type may declare these.
///
/// # Errors
/// [`Error::Name`] with the first that it may not.
pub fn check_searchable(fields: &[&str]) -> Result<(), Error> {
    if let Some(name) = fields.get(MOST) {
        let name = (*name).to_owned();
        return Err(Error::Name {
            what: "searchable field",
            name,
            rule: "a job type has at most 16 searchable fields",
        });
    }
    fields.iter().try_for_each(|field| names::check("searchable field", field))
}
