//! The words that people are asked to agree to.

use diesel::prelude::*;
use millstream_store::{Data, Id, Isolation, List, Op, Time, model};
use serde::{Deserialize, Serialize};

use crate::{
    ConsentError, Ledger, chain,
    record::sha256,
    schema::texts,
    statement::{check_line, check_purpose},
};

/// Longest body, in characters.
const LONGEST: usize = 20_000;

/// A version of a purpose's words. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = texts)]
pub struct Text {
    /// Its id.
    pub id: Id,
    /// What for.
    pub purpose: String,
    /// From 1, without gaps.
    pub version: i64,
    /// A line above the body.
    pub title: String,
    /// The words.
    pub body: String,
    /// SHA-256 of the JSON array `[title, body]`, in hex.
    pub sha256: String,
    /// When it was published.
    pub created_at: Time,
}

model! {
    Text in texts {
        key: id as Id,
        created: created_at,
        filters: { purpose: text, version: int, title: text, created_at: time },
        sorts: { purpose as String, version as i64, created_at as Time },
        search: { title, body },
    }
}

/// A text to publish.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// A line above the body, 1 to 200 characters.
    pub title: String,
    /// The words, 1 to 20,000 characters.
    pub body: String,
}

impl Text {
    /// The hash that belongs to the words.
    pub fn digest(&self) -> String {
        sha256(serde_json::json!([self.title, self.body]).to_string())
    }
}

impl Ledger {
    /// Publishes the version `version` of a purpose's text, which must be the next one: 1 for a new purpose. The same words
    /// again change nothing.
    ///
    /// # Errors
    /// [`ConsentError::Invalid`], [`ConsentError::NotNext`], [`ConsentError::Store`].
    pub async fn publish_text(&self, purpose: &str, version: i64, draft: Draft) -> Result<Text, ConsentError> {
        check_purpose(purpose)?;
        check_line("title", &draft.title, 200)?;
        check_body(&draft.body)?;
        let Draft { title, body } = draft;
        let mut text = Text {
            id: Id::new(),
            purpose: purpose.to_owned(),
            version,
            title,
            body,
            sha256: String::new(),
            created_at: Time::default(),
        };
        text.sha256 = text.digest();
        let publishing = self.store().transaction_at(Isolation::ReadCommitted, async move |tx| {
            // A grant that runs at the same time is before this or after it.
            chain::lock(&tx).await?;
            if let Some(there) = find(&tx, &text.purpose, text.version).await?
                && there.sha256 == text.sha256
            {
                return Ok(there);
            }
            let next = newest(&tx, &text.purpose).await?.map_or(1, |newest| newest.version + 1);
            if text.version != next {
                let (purpose, version) = (text.purpose.clone(), text.version);
                return Err(ConsentError::NotNext { purpose, version, next });
            }
            Ok(tx.insert(&text).await?)
        });
        publishing.await
    }
}

/// One version of a text.
pub(crate) async fn find(data: &impl Data, purpose: &str, version: i64) -> Result<Option<Text>, ConsentError> {
    let list = List::new().filter("purpose", Op::Eq, purpose).filter("version", Op::Eq, version).limit(1);
    Ok(data.list::<Text>(list).await?.rows.pop())
}

/// The version in force.
pub(crate) async fn newest(data: &impl Data, purpose: &str) -> Result<Option<Text>, ConsentError> {
    let list = List::new().filter("purpose", Op::Eq, purpose).sort("-version").limit(1);
    Ok(data.list::<Text>(list).await?.rows.pop())
}

fn check_body(body: &str) -> Result<(), ConsentError> {
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if body.trim().is_empty() || body.chars().count() > LONGEST || body.chars().any(is_odd) {
        let reason = format!("1 to {LONGEST} characters are needed, of control characters only line feeds and tabs");
        return Err(ConsentError::invalid("body", reason));
    }
    Ok(())
}
