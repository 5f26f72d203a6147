//! The operations on models, on a store and inside a transaction.

use std::{future::Future, panic::Location};

use futures::{Stream, stream};

use super::{Conn, List, ListPage, Model, QueryFuture, Summary, Tx};
use crate::{Error, State, Store, Time, conn::to_its_end};

/// Tries of an upsert whose row comes and goes meanwhile.
const TRIES: u32 = 10;

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::Store {}
    impl Sealed for crate::Tx {}
}

/// The operations on an application's tables: on a [`Store`], each by itself, and on a [`Tx`], all or none.
///
/// An operation that is dropped has either not begun or runs to its end, and never leaves a connection inside a statement.
pub trait Data: Sync + sealed::Sealed {
    #[doc(hidden)]
    fn run<T: Send + 'static>(
        &self,
        writes: bool,
        place: &'static Location<'static>,
        work: impl for<'c> FnOnce(&'c mut Conn) -> QueryFuture<'c, T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send;

    /// Runs plain Diesel that only reads; [`query!`](crate::query) makes `work`.
    ///
    /// # Errors
    /// What `work` returns, [`Error::Unreachable`], [`Error::Exhausted`]; on SQLite a statement that writes is refused.
    #[track_caller]
    fn read<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> QueryFuture<'c, T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        self.run(false, Location::caller(), work)
    }

    /// Runs plain Diesel that may write; [`query!`](crate::query) makes `work`. Several statements are only in one
    /// transaction if this is called on one.
    ///
    /// # Errors
    /// What `work` returns, [`Error::Unreachable`], [`Error::Exhausted`].
    #[track_caller]
    fn write<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Conn) -> QueryFuture<'c, T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        self.run(true, Location::caller(), work)
    }

    /// The app state of one scope: typed values by key.
    fn state(&self, scope: impl Into<String>) -> State<'_, Self>
    where
        Self: Sized,
    {
        State::new(self, scope.into())
    }

    /// Inserts a row, as version 1 with its times set, and returns it so.
    ///
    /// # Errors
    /// [`Error::Query`], such as a violated constraint.
    #[track_caller]
    fn insert<M: Model>(&self, row: &M) -> impl Future<Output = Result<M, Error>> + Send {
        let (place, row) = (Location::caller(), new(row.clone()));
        async move {
            let rows = vec![row.clone()];
            self.run(true, place, move |conn| M::insert_all(conn, rows)).await?;
            Ok(row)
        }
    }

    /// Inserts rows, all or none, each like [`Data::insert`]; returns how many.
    ///
    /// # Errors
    /// Those of [`Data::insert`].
    #[track_caller]
    fn insert_many<M: Model>(&self, rows: Vec<M>) -> impl Future<Output = Result<usize, Error>> + Send {
        let place = Location::caller();
        async move {
            if rows.is_empty() {
                return Ok(0);
            }
            self.run(true, place, move |conn| M::insert_all(conn, rows.into_iter().map(new).collect())).await
        }
    }

    /// The row with this key, unless it is soft-deleted.
    ///
    /// # Errors
    /// [`Error::Query`].
    #[track_caller]
    fn get<M: Model>(&self, key: M::Key) -> impl Future<Output = Result<Option<M>, Error>> + Send {
        self.run(false, Location::caller(), move |conn| M::find(conn, key, false))
    }

    /// Writes a row that was read before and returns it as it is now. With a version, only if nobody else wrote it since.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::NotFound`], [`Error::Query`].
    #[track_caller]
    fn update<M: Model>(&self, row: &M) -> impl Future<Output = Result<M, Error>> + Send {
        let (place, mut row) = (Location::caller(), row.clone());
        async move {
            let (key, version) = (row.key(), row.version());
            if !M::VERSIONED && M::SOFT_DELETED {
                let found = key.clone();
                self.run(true, place, move |conn| M::find(conn, found, false))
                    .await?
                    .ok_or_else(|| missing::<M>(&key))?;
            }
            row.stamp(version.saturating_add(1), Time::now(), false);
            let changed = row.clone();
            if self.run(true, place, move |conn| M::replace(conn, changed, version)).await? > 0 {
                return Ok(row);
            }
            let found = key.clone();
            match self.run(true, place, move |conn| M::find(conn, found, false)).await? {
                Some(_) => Err(Error::Conflict { table: M::TABLE, key: format!("{key:?}"), version }),
                None => Err(missing::<M>(&key)),
            }
        }
    }

    /// Inserts the row, or where its key exists, writes it over what is there, whatever its version; a soft-deleted one comes
    /// back if the row says so. Returns it as it is now.
    ///
    /// # Errors
    /// [`Error::Query`]; [`Error::Conflict`] where others kept changing it.
    #[track_caller]
    fn upsert<M: Model>(&self, row: &M) -> impl Future<Output = Result<M, Error>> + Send {
        let (place, row) = (Location::caller(), row.clone());
        async move {
            let key = row.key();
            for _ in 0..TRIES {
                let fresh = new(row.clone());
                let inserted = fresh.clone();
                if self.run(true, place, move |conn| M::insert_missing(conn, inserted)).await? > 0 {
                    return Ok(fresh);
                }
                let found = key.clone();
                let Some(existing) = self.run(true, place, move |conn| M::find(conn, found, true)).await? else {
                    continue;
                };
                let (mut changed, version) = (row.clone(), existing.version());
                changed.inherit(&existing);
                changed.stamp(version.saturating_add(1), Time::now(), false);
                let written = changed.clone();
                if self.run(true, place, move |conn| M::replace(conn, written, version)).await? > 0 {
                    return Ok(changed);
                }
            }
            Err(Error::Conflict { table: M::TABLE, key: format!("{key:?}"), version: row.version() })
        }
    }

    /// Deletes the row with this key: softly where the model has a column for it. Whether there was one.
    ///
    /// # Errors
    /// [`Error::Query`].
    #[track_caller]
    fn delete<M: Model>(&self, key: M::Key) -> impl Future<Output = Result<bool, Error>> + Send {
        let place = Location::caller();
        async move { Ok(self.run(true, place, move |conn| M::mark_deleted(conn, key, Time::now())).await? > 0) }
    }

    /// Removes the row with this key from the table, soft-deleted or not. Whether there was one.
    ///
    /// # Errors
    /// [`Error::Query`].
    #[track_caller]
    fn erase<M: Model>(&self, key: M::Key) -> impl Future<Output = Result<bool, Error>> + Send {
        let place = Location::caller();
        async move { Ok(self.run(true, place, move |conn| M::erase(conn, key)).await? > 0) }
    }

    /// A page of rows.
    ///
    /// # Errors
    /// [`Error::List`] or [`Error::Cursor`] before the database is asked; [`Error::Query`].
    #[track_caller]
    fn list<M: Model>(&self, list: List) -> impl Future<Output = Result<ListPage<M>, Error>> + Send {
        let place = Location::caller();
        async move {
            let list = list.check::<M>()?;
            let asked = list.clone();
            let mut rows = self.run(false, place, move |conn| M::select(conn, asked)).await?;
            let limit = usize::try_from(list.limit).unwrap_or(usize::MAX);
            let more = rows.len() > limit;
            rows.truncate(limit);
            let next = rows.last().filter(|_| more).and_then(|last| last.cursor(&list));
            Ok(ListPage { rows, next })
        }
    }

    /// How many rows the list's filters let through, on all pages.
    ///
    /// # Errors
    /// Those of [`Data::list`].
    #[track_caller]
    fn count<M: Model>(&self, list: List) -> impl Future<Output = Result<u64, Error>> + Send {
        let place = Location::caller();
        async move {
            let list = list.check::<M>()?;
            Ok(self.run(false, place, move |conn| M::count(conn, list)).await?.unsigned_abs())
        }
    }

    /// Count, sum, least and greatest of a column over all rows that the list's filters let through.
    ///
    /// # Errors
    /// Those of [`Data::list`].
    #[track_caller]
    fn summary<M: Model>(&self, list: List, column: &str) -> impl Future<Output = Result<Summary, Error>> + Send {
        let place = Location::caller();
        let known = M::SUMS.iter().find(|known| **known == column).copied().ok_or_else(|| Error::List {
            parameter: column.chars().take(64).collect(),
            reason: format!("there is no such column to sum up; those are {}", M::SUMS.join(", ")),
        });
        async move {
            let (list, column) = (list.check::<M>()?, known?);
            self.run(false, place, move |conn| M::summary(conn, list, column)).await
        }
    }

    /// All rows from the list's start on, page after page by cursor: memory holds one page, and no connection is held between
    /// pages. Rows that come or go meanwhile may be seen or not.
    ///
    /// # Errors
    /// Those of [`Data::list`], once.
    fn stream<M: Model>(&self, list: List) -> impl Stream<Item = Result<M, Error>> + Send {
        let first = Some((Some(list), Vec::new().into_iter()));
        stream::unfold(first, async move |state| {
            let (list, mut rows) = state?;
            if let Some(row) = rows.next() {
                return Some((Ok(row), Some((list, rows))));
            }
            // An exhausted list is one whose last page had no next one.
            let list = list?;
            match self.list::<M>(list.clone()).await {
                Err(error) => Some((Err(error), None)),
                Ok(page) => {
                    let mut rows = page.rows.into_iter();
                    let row = rows.next()?;
                    Some((Ok(row), Some((page.next.map(|cursor| list.after(cursor)), rows))))
                }
            }
        })
    }
}

impl Data for Store {
    fn run<T: Send + 'static>(
        &self,
        writes: bool,
        place: &'static Location<'static>,
        work: impl for<'c> FnOnce(&'c mut Conn) -> QueryFuture<'c, T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        let store = self.clone();
        async move {
            let mut conn = match writes {
                true => Conn::writing(&store, place).await?,
                false => Conn::reading(&store, place).await?,
            };
            to_its_end(async move { work(&mut conn).await }).await
        }
    }
}

impl Data for Tx {
    async fn run<T: Send + 'static>(
        &self,
        _writes: bool,
        _place: &'static Location<'static>,
        work: impl for<'c> FnOnce(&'c mut Conn) -> QueryFuture<'c, T> + Send + 'static,
    ) -> Result<T, Error> {
        self.on_connection(work).await
    }
}

fn new<M: Model>(mut row: M) -> M {
    row.stamp(1, Time::now(), true);
    row
}

fn missing<M: Model>(key: &M::Key) -> Error {
    Error::NotFound { table: M::TABLE, key: format!("{key:?}") }
}
