//! Fencing: a writer whose lock was lost is refused, however late it comes.

use std::panic::Location;

use diesel::{prelude::*, query_dsl::methods::FilterDsl, upsert::excluded};
use diesel_async::RunQueryDsl;

use super::name;
use crate::{Conn, Data, Error, Time, Tx, data::work, on_conn, schema::millstream_fences as f};

impl Tx {
    /// Goes on only if no newer token was seen for `resource`, and keeps this one as seen if the transaction commits. Other
    /// transactions with this resource wait until this one ends, so an older token never commits after a newer one. Take
    /// the token from the lock that guards what is written, and call this before the writes.
    ///
    /// A transaction whose token was refused, here or by a write of [state](crate::State), can't commit any more, whatever becomes of
    /// the error: its end returns it again. One that is refused inside a [nested](Tx::transaction) one undoes that, and the outer
    /// one goes on if it handles the error.
    ///
    /// # Errors
    /// [`Error::Fenced`] for an older token, [`Error::State`] for a bad name or a token over `i64::MAX`, [`Error::Query`].
    #[track_caller]
    pub fn fence(&self, resource: &str, token: u64) -> impl Future<Output = Result<(), Error>> + Send + use<'_> {
        let (place, resource) = (Location::caller(), name("resource", resource));
        async move {
            let admitted = async {
                let resource = resource?;
                let admit = work(move |conn| Box::pin(async move { admit(conn, &resource, token).await }));
                self.run(true, place, admit).await
            };
            let admitted = admitted.await;
            if admitted.is_err() {
                // What follows would be written unguarded.
                self.doom();
            }
            admitted
        }
    }
}

/// Keeps `token` as the newest, or refuses it. The row stays locked until the transaction ends, even where it is refused.
pub(super) async fn admit(conn: &mut Conn, resource: &str, token: u64) -> Result<(), Error> {
    let number = i64::try_from(token).map_err(|_| Error::State {
        what: "token",
        reason: format!("{token} is over {}, the largest that SQL holds", i64::MAX),
    })?;
    let now = Time::now();
    let admitted = on_conn!(conn, |conn: Db| {
        let kept = diesel::insert_into(f::table)
            .values((f::resource.eq(resource), f::token.eq(number), f::updated_at.eq(now)))
            .on_conflict(f::resource)
            .do_update()
            .set((f::token.eq(excluded(f::token)), f::updated_at.eq(excluded(f::updated_at))));
        FilterDsl::filter(kept, f::token.le(excluded(f::token))).execute(conn).await
    })
    .await?;
    if admitted > 0 {
        return Ok(());
    }
    let newest: i64 = on_conn!(conn, |conn: Db| { f::table.find(resource).select(f::token).first(conn).await }).await?;
    Err(Error::Fenced { resource: resource.to_owned(), token, newest: newest.unsigned_abs() })
}
