//! What was set aside, once it is too old.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{Error, Store, schema::millstream_rejected as rejected, sql_types::Id};

/// Deletes the oldest of those set aside before `end`. Their ids are UUIDv7, so the key's index has them by time.
pub(super) async fn prune(store: &Store, end: DateTime<Utc>, batch: u16) -> Result<u64, Error> {
    let first_kept = first_id_of(end);
    let deleted = with_conn!(store, write conn: Db => {
        let old = rejected::table.filter(rejected::id.lt(Id(first_kept))).order(rejected::id);
        let ids: Vec<Id> = old.select(rejected::id).limit(batch.into()).load(conn).await?;
        diesel::delete(rejected::table.filter(rejected::id.eq_any(ids))).execute(conn).await
    })?;
    Ok(deleted as u64)
}

/// Not after any UUIDv7 of this time.
fn first_id_of(time: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(time.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_before_are_less_and_those_made_after_are_not() {
        let id = Uuid::now_v7();
        let made = id.get_timestamp().expect("a time").to_unix();
        let made = DateTime::from_timestamp(made.0.cast_signed(), made.1).expect("in range");
        assert!(first_id_of(made) < id);
        assert!(id < first_id_of(made + chrono::TimeDelta::milliseconds(1)));
    }
}
