//! A record of the chain, and the form of it that is hashed.

use diesel::{
    backend::Backend,
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    prelude::*,
    serialize::{self, Output, ToSql},
    sql_types::Text,
};
use millstream_store::{Id, Time, model};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::schema::records;

/// A grant or a withdrawal that was taken down. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = records, primary_key(seq))]
pub struct Record {
    /// Its place in the chain, from 1.
    pub seq: i64,
    /// Its name outside of the chain.
    pub id: Id,
    /// Whose consent it is.
    pub subject: String,
    /// What for.
    pub purpose: String,
    /// The version of the text that was agreed to, or whose grant was withdrawn.
    pub version: i64,
    /// SHA-256 of that text, in hex.
    pub text_sha256: String,
    /// What was declared.
    pub action: Action,
    /// How it was declared.
    pub method: String,
    /// Who took it down.
    pub actor: String,
    /// Where the evidence is.
    pub source: String,
    /// When it was appended.
    pub at: Time,
    /// The hash of the record before; 64 zeros for the first.
    pub previous: String,
    /// SHA-256 of the [canonical form](Record::canonical), in hex.
    pub hash: String,
}

model! {
    Record in records {
        key: seq as i64,
        filters: {
            seq: int, id: id, subject: text, purpose: text, version: int, action: text, method: text, actor: text,
            source: text, at: time,
        },
        sorts: { at as Time },
        search: { source },
    }
}

/// What was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The subject agrees.
    Granted,
    /// The subject doesn't agree any more.
    Withdrawn,
}

impl Record {
    /// What is hashed: a JSON array, without spaces, of the values as they stand in the record's JSON, in this order. Any
    /// language can make it from an export.
    pub fn canonical(&self) -> String {
        serde_json::json!([
            self.previous,
            self.seq,
            self.id,
            self.subject,
            self.purpose,
            self.version,
            self.text_sha256,
            self.action,
            self.method,
            self.actor,
            self.source,
            self.at,
        ])
        .to_string()
    }

    /// The hash that belongs to the content.
    pub fn digest(&self) -> String {
        sha256(self.canonical())
    }
}

/// SHA-256 in hex.
pub(crate) fn sha256(text: impl AsRef<[u8]>) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl<DB: Backend> ToSql<Text, DB> for Action
where
    str: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.as_str().to_sql(out)
    }
}

impl<DB: Backend> FromSql<Text, DB> for Action
where
    String: FromSql<Text, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        match String::from_sql(value)?.as_str() {
            "granted" => Ok(Self::Granted),
            "withdrawn" => Ok(Self::Withdrawn),
            other => Err(format!("{other:?} is no action: granted and withdrawn are").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash was computed by Python's `json` and `hashlib`, as the README shows.
    #[test]
    fn the_canonical_form_is_what_the_readme_says() {
        let record = Record {
            seq: 7,
            id: Id("0198c0de-0000-7000-8000-000000000000".parse().unwrap()),
            subject: "user \"7\" \\ Zoë 🦀".into(),
            purpose: "newsletter".into(),
            version: 2,
            text_sha256: sha256("We write once a week."),
            action: Action::Granted,
            method: "web_form".into(),
            actor: "user-7".into(),
            source: "https://example.org/signup".into(),
            at: Time("2026-01-31T12:00:00.250Z".parse().unwrap()),
            previous: "0".repeat(64),
            hash: String::new(),
        };
        assert_eq!(
            record.canonical(),
            "[\"0000000000000000000000000000000000000000000000000000000000000000\",7,\
             \"0198c0de-0000-7000-8000-000000000000\",\"user \\\"7\\\" \\\\ Zoë 🦀\",\"newsletter\",2,\
             \"097c114959d477fd9574822e3267ae9398b7642a0249c0532fdbc48cf94e53e9\",\"granted\",\"web_form\",\"user-7\",\
             \"https://example.org/signup\",\"2026-01-31T12:00:00.250Z\"]"
        );
        assert_eq!(record.digest(), "7ce05befe73474144c571577b216ec2bc3e6ffa2d1f4d3586cb8d4d874b46574");
        assert_ne!(Record { seq: 8, ..record.clone() }.digest(), record.digest());
    }
}
