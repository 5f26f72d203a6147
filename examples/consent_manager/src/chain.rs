//! The end of the chain, whose row is the lock that appends take turns by.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_store::{Data, Error, Id, Time, Tx, query};
use serde::Serialize;
use uuid::Uuid;

use crate::{Action, Record, Statement, Text, schema::chain};

/// How long the chain is, and the hash of its last record. Whoever keeps one elsewhere can prove later that nothing up to
/// it was changed, not even by someone who could rewrite the whole database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Queryable)]
pub struct Head {
    /// The number of records.
    pub length: i64,
    /// The last one's hash; 64 zeros for an empty chain.
    pub hash: String,
}

impl Head {
    /// The record that follows.
    pub(crate) fn next(&self, action: Action, statement: &Statement, text: &Text) -> Record {
        let mut record = Record {
            seq: self.length + 1,
            id: statement.id.unwrap_or_else(|| Id(Uuid::now_v7())),
            subject: statement.subject.clone(),
            purpose: statement.purpose.clone(),
            version: text.version,
            text_sha256: text.sha256.clone(),
            action,
            method: statement.method.clone(),
            actor: statement.actor.clone(),
            source: statement.source.clone(),
            at: Time::now(),
            previous: self.hash.clone(),
            hash: String::new(),
        };
        record.hash = record.digest();
        record
    }
}

/// Locks the chain until the transaction ends, and reads its end. Postgres locks the row by the write; on SQLite the
/// transaction is the only one that writes. At `READ COMMITTED`, what is read after this is what the one before committed.
pub(crate) async fn lock(tx: &Tx) -> Result<Head, Error> {
    tx.write(query!(|conn: Db| {
        let lock = diesel::update(chain::table).set(chain::length.eq(chain::length));
        lock.returning((chain::length, chain::hash)).get_result(conn).await
    }))
    .await
}

/// Lets the chain end with `record`, under the lock.
pub(crate) async fn advance(tx: &Tx, record: &Record) -> Result<(), Error> {
    let (length, hash) = (record.seq, record.hash.clone());
    tx.write(query!(|conn: Db| {
        let end = (chain::length.eq(length), chain::hash.eq(hash));
        diesel::update(chain::table).set(end).execute(conn).await.map(drop)
    }))
    .await
}

/// The chain's end as it is.
pub(crate) async fn read(data: &impl Data) -> Result<Head, Error> {
    data.read(query!(|conn: Db| chain::table.select((chain::length, chain::hash)).first(conn).await)).await
}
