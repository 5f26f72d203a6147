//! The macro that makes a row type a model.

/// Makes a row type a [`Model`](crate::Model). The type derives Diesel's `Queryable, Selectable, Insertable, AsChangeset` beside `Clone` and
/// `Debug`, and has a field for each column, named like it:
///
/// ```ignore
/// #[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
/// #[diesel(table_name = contacts, treat_none_as_null = true)]
/// struct Contact { id: Id, version: i64, name: String, age: Option<i64>, created_at: Time, deleted_at: Option<Time> }
///
/// millstream_store::model! {
///     Contact in contacts {
///         key: id as Id,
///         version: version,        // optional: an i64 that guards updates
///         created: created_at,     // optional: when it was inserted
///         updated: updated_at,     // optional: when it was last written
///         deleted: deleted_at,     // optional: deleting sets it and keeps the row
///         filters: { name: text, age: int, created_at: time },
///         sorts: { name as String, created_at as Time }, // never null
///         search: { name },
///         sums: { age },
///     }
/// }
/// ```
///
/// The last four may be empty or left out.
#[macro_export]
macro_rules! model {
    ($model:ident in $table:ident {
        key: $key:ident as $key_type:ty
        $(, version: $version:ident)?
        $(, created: $created:ident)?
        $(, updated: $updated:ident)?
        $(, deleted: $deleted:ident)?
        $(, filters: { $($filter:ident: $kind:ident),* $(,)? })?
        $(, sorts: { $($sort:ident as $sort_type:ty),* $(,)? })?
        $(, search: { $($search:ident),* $(,)? })?
        $(, sums: { $($sum:ident),* $(,)? })?
        $(,)?
    }) => {
        const _: () = {
            #[allow(unused_imports, reason = "not every model has every part")]
            use $crate::diesel::prelude::*;
            use $crate::diesel_async::RunQueryDsl;
            #[allow(unused_imports, reason = "not every model has every part")]
            use $crate::{Checked, Column, Conn, Error, Kind, Model, QueryFuture, Summary, Time, on_conn};

            impl Model for $model {
                type Key = $key_type;
                const TABLE: &'static str = stringify!($table);
                const KEY: &'static str = stringify!($key);
                const COLUMNS: &'static [Column] = &[$($(Column::new(stringify!($filter), Kind::$kind)),*)?];
                const SORTS: &'static [&'static str] = &[$($(stringify!($sort)),*)?];
                const SEARCH: &'static [&'static str] = &[$($(stringify!($search)),*)?];
                const SUMS: &'static [&'static str] = &[$($(stringify!($sum)),*)?];
                const VERSIONED: bool = { let names: &[&str] = &[$(stringify!($version))?]; !names.is_empty() };
                const SOFT_DELETED: bool = { let names: &[&str] = &[$(stringify!($deleted))?]; !names.is_empty() };

                fn key(&self) -> $key_type {
                    self.$key.clone()
                }

                fn version(&self) -> i64 {
                    0 $(+ self.$version)?
                }

                fn stamp(&mut self, version: i64, now: Time, is_new: bool) {
                    let _ = (version, now, is_new);
                    $(self.$version = version;)?
                    $(if is_new { self.$created = now; })?
                    $(self.$updated = now;)?
                }

                fn inherit(&mut self, existing: &Self) {
                    let _ = existing;
                    $(self.$created = existing.$created;)?
                }

                fn insert_all(conn: &mut Conn, rows: Vec<Self>) -> QueryFuture<'_, usize> {
                    $crate::model_part!(insert_all conn, rows, $model, $table)
                }

                fn insert_missing(conn: &mut Conn, row: Self) -> QueryFuture<'_, usize> {
                    on_conn!(conn, |conn: Db| {
                        let insert = $crate::diesel::insert_into($table::table).values(row).on_conflict_do_nothing();
                        RunQueryDsl::execute(insert, conn).await
                    })
                }

                fn find(conn: &mut Conn, key: $key_type, deleted: bool) -> QueryFuture<'_, Option<Self>> {
                    on_conn!(conn, |conn: Db| {
                        let one = $table::table.filter($table::$key.eq(key)).select(Self::as_select());
                        if deleted {
                            return Ok(RunQueryDsl::first(one, conn).await.optional()?);
                        }
                        RunQueryDsl::first(one$(.filter($table::$deleted.is_null()))?, conn).await.optional()
                    })
                }

                fn replace(conn: &mut Conn, row: Self, version: i64) -> QueryFuture<'_, usize> {
                    let _ = version;
                    on_conn!(conn, |conn: Db| {
                        let one = $table::table.filter($table::$key.eq(row.$key.clone()));
                        let one = $crate::diesel::update(one$(.filter($table::$version.eq(version)))?);
                        RunQueryDsl::execute(one.set(row), conn).await
                    })
                }

                fn mark_deleted(conn: &mut Conn, key: $key_type, now: Time) -> QueryFuture<'_, usize> {
                    $crate::model_part!(delete conn, key, now, $table, $key, [$($version)?] [$($deleted)?])
                }

                fn erase(conn: &mut Conn, key: $key_type) -> QueryFuture<'_, usize> {
                    on_conn!(conn, |conn: Db| {
                        let one = $crate::diesel::delete($table::table.filter($table::$key.eq(key)));
                        RunQueryDsl::execute(one, conn).await
                    })
                }

                fn select(conn: &mut Conn, list: Checked) -> QueryFuture<'_, Vec<Self>> {
                    on_conn!(conn, |conn: Db| {
                        let query = $table::table.select(Self::as_select()).into_boxed::<Db>();
                        let query = $crate::model_part!(narrowed query, list, $table, [$($deleted)?] [$($($filter: $kind),*)?]
                            [$($($search),*)?]);
                        let query = match list.column {
                            $($(stringify!($sort) => {
                                $crate::model_part!(order query, list, $table, $sort as $sort_type, $key as $key_type)
                            })*)?
                            _ => $crate::model_part!(order_by_key query, list, $table, $key as $key_type),
                        };
                        RunQueryDsl::load(query.offset(list.skip).limit(list.limit + 1), conn).await
                    })
                }

                fn count(conn: &mut Conn, list: Checked) -> QueryFuture<'_, i64> {
                    on_conn!(conn, |conn: Db| {
                        let query = $table::table.count().into_boxed::<Db>();
                        let query = $crate::model_part!(narrowed query, list, $table, [$($deleted)?] [$($($filter: $kind),*)?]
                            [$($($search),*)?]);
                        RunQueryDsl::get_result(query, conn).await
                    })
                }

                fn summary<'c>(conn: &'c mut Conn, list: Checked, column: &'static str) -> QueryFuture<'c, Summary> {
                    $crate::model_part!(sums conn, list, column, $table, [$($deleted)?] [$($($filter: $kind),*)?]
                        [$($($search),*)?] [$($($sum),*)?])
                }

                fn cursor(&self, list: &Checked) -> Option<String> {
                    match list.column {
                        $($(stringify!($sort) => list.write_cursor(&self.$sort, &self.$key),)*)?
                        _ => list.write_cursor(&self.$key, &self.$key),
                    }
                }

                fn read_cursor(list: &Checked, text: &str) -> Result<String, Error> {
                    match list.column {
                        $($(stringify!($sort) => list.read_cursor::<$sort_type, $key_type>(text),)*)?
                        _ => list.read_cursor::<$key_type, $key_type>(text),
                    }
                }
            }
        };
    };
}

/// Parts of [`model!`](crate::model) that depend on what a model has.
#[doc(hidden)]
#[macro_export]
macro_rules! model_part {
    // All rows or none, in as few statements as Postgres's most values per statement allow.
    (insert_all $conn:ident, $rows:ident, $model:ident, $table:ident) => {
        match $conn.any() {
            $crate::data::AnyConn::Postgres(conn) => Box::pin(async move {
                type Columns = $crate::diesel::dsl::SqlTypeOf<<$model as Selectable<$crate::diesel::pg::Pg>>::SelectExpression>;
                const COLUMNS: usize = <$model as $crate::diesel::deserialize::StaticallySizedRow<
                    Columns,
                    $crate::diesel::pg::Pg,
                >>::FIELD_COUNT;
                const MOST: usize = 65_535 / COLUMNS;
                let mut rows = $rows;
                if rows.len() <= MOST {
                    let insert = $crate::diesel::insert_into($table::table).values(rows);
                    return Ok(RunQueryDsl::execute(insert, conn).await?);
                }
                $crate::data::begin(conn).await?;
                let mut inserted = 0;
                while !rows.is_empty() {
                    let rest = rows.split_off(rows.len().min(MOST));
                    let chunk = std::mem::replace(&mut rows, rest);
                    let insert = $crate::diesel::insert_into($table::table).values(chunk);
                    match RunQueryDsl::execute(insert, conn).await {
                        Ok(count) => inserted += count,
                        Err(error) => {
                            $crate::data::abandon(conn).await?;
                            return Err(error.into());
                        }
                    }
                }
                $crate::data::commit(conn).await?;
                Ok(inserted)
            }),
            $crate::data::AnyConn::Sqlite(conn) => Box::pin(async move {
                let rows = $rows;
                let insert = conn.spawn_blocking(move |conn| {
                    $crate::diesel::Connection::transaction(conn, |conn| {
                        let insert = $crate::diesel::insert_into($table::table).values(rows);
                        $crate::diesel::RunQueryDsl::execute(insert, conn)
                    })
                });
                Ok(insert.await?)
            }),
        }
    };
    (delete $conn:ident, $key_value:ident, $now:ident, $table:ident, $key:ident, [$($version:ident)?] []) => {{
        let _ = $now;
        Self::erase($conn, $key_value)
    }};
    (delete $conn:ident, $key_value:ident, $now:ident, $table:ident, $key:ident, [] [$deleted:ident]) => {
        $crate::on_conn!($conn, |conn: Db| {
            let one = $table::table.filter($table::$key.eq($key_value)).filter($table::$deleted.is_null());
            RunQueryDsl::execute($crate::diesel::update(one).set($table::$deleted.eq(Some($now))), conn).await
        })
    };
    // An update that was read before must not bring the row back.
    (delete $conn:ident, $key_value:ident, $now:ident, $table:ident, $key:ident, [$version:ident] [$deleted:ident]) => {
        $crate::on_conn!($conn, |conn: Db| {
            let one = $table::table.filter($table::$key.eq($key_value)).filter($table::$deleted.is_null());
            let change = ($table::$deleted.eq(Some($now)), $table::$version.eq($table::$version + 1i64));
            RunQueryDsl::execute($crate::diesel::update(one).set(change), conn).await
        })
    };
    (narrowed $query:ident, $list:ident, $table:ident, [$($deleted:ident)?] [$($filter:ident: $kind:ident),*]
        [$($search:ident),*]) => {{
        #[allow(unused_mut, reason = "not every model has every part")]
        let mut query = $crate::narrow!($query, $list.conditions, { $($filter: $kind $table::$filter),* });
        $(if !$list.deleted {
            query = query.filter($table::$deleted.is_null());
        })?
        $crate::model_part!(search query, $list, $table, [$($search),*])
    }};
    (search $query:ident, $list:ident, $table:ident, []) => { $query };
    (search $query:ident, $list:ident, $table:ident, [$first:ident $(, $more:ident)*]) => {
        match &$list.search {
            Some(pattern) => $query.filter(
                $crate::data::like($table::$first.nullable(), pattern.clone())
                    $(.or($crate::data::like($table::$more.nullable(), pattern.clone())))*
            ),
            None => $query,
        }
    };
    (sums $conn:ident, $list:ident, $column:ident, $table:ident, $deleted:tt $filters:tt $search:tt []) => {{
        let _ = ($conn, $list, $column);
        Box::pin(async { Ok(Summary::default()) })
    }};
    (sums $conn:ident, $list:ident, $column:ident, $table:ident, $deleted:tt $filters:tt $search:tt
        [$sum:ident $(, $more:ident)*]) => {
        if $column == stringify!($sum) {
            $crate::on_conn!($conn, |conn: Db| {
                use $crate::diesel::{dsl, sql_types::{BigInt, Nullable}};
                // Postgres sums into a numeric; the names are the macro's.
                const SUM: &str = concat!("CAST(SUM(", stringify!($table), ".", stringify!($sum), ") AS BIGINT)");
                let column = $table::$sum;
                let all = (dsl::count(column), dsl::sql::<Nullable<BigInt>>(SUM), dsl::min(column), dsl::max(column));
                let query = $table::table.select(all).into_boxed::<Db>();
                let query = $crate::model_part!(narrowed query, $list, $table, $deleted $filters $search);
                RunQueryDsl::get_result(query, conn).await.map(Summary::new)
            })
        } else {
            $crate::model_part!(sums $conn, $list, $column, $table, $deleted $filters $search [$($more),*])
        }
    };
    // The bound on the column alone lets an index start there.
    (order $query:ident, $list:ident, $table:ident, $sort:ident as $type:ty, $key:ident as $key_type:ty) => {{
        let mut query = $query;
        let start = $list.start::<$type, $key_type>();
        if $list.descending {
            if let Some((value, key)) = start {
                query = query
                    .filter($table::$sort.le(value.clone()))
                    .filter($table::$sort.lt(value).or($table::$key.lt(key)));
            }
            query.order(($table::$sort.desc(), $table::$key.desc()))
        } else {
            if let Some((value, key)) = start {
                query = query
                    .filter($table::$sort.ge(value.clone()))
                    .filter($table::$sort.gt(value).or($table::$key.gt(key)));
            }
            query.order(($table::$sort.asc(), $table::$key.asc()))
        }
    }};
    (order_by_key $query:ident, $list:ident, $table:ident, $key:ident as $key_type:ty) => {{
        let mut query = $query;
        let start = $list.start::<$key_type, $key_type>();
        if $list.descending {
            if let Some((_, key)) = start {
                query = query.filter($table::$key.lt(key));
            }
            query.order($table::$key.desc())
        } else {
            if let Some((_, key)) = start {
                query = query.filter($table::$key.gt(key));
            }
            query.order($table::$key.asc())
        }
    }};
}
