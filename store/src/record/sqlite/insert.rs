//! Inserts of many rows.

use diesel::{
    QueryResult, RunQueryDsl, SqliteConnection,
    query_builder::{AstPass, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::HasSqlType,
    sqlite::Sqlite as Backend,
};

/// Rows per statement. Full statements have one text, so that SQLite prepares it once per connection.
pub(super) const ROWS: usize = 64;

/// A row of an INSERT.
pub(super) trait Bind {
    /// Adds its values.
    fn bind<'b>(&'b self, values: &mut Values<'_, 'b>) -> QueryResult<()>;
}

/// An INSERT whose `{rows}` are as many rows as there are. A query of its own, since Diesel neither caches its own batch
/// inserts nor joins them with ON CONFLICT on SQLite.
pub(super) struct Insert<'r, R> {
    pub(super) sql: &'static str,
    pub(super) rows: &'r [R],
}

impl<R: Bind> Insert<'_, R> {
    /// Inserts all rows, by as many statements as they need.
    pub(super) fn all(conn: &mut SqliteConnection, sql: &'static str, rows: &[R]) -> QueryResult<()> {
        rows.chunks(ROWS).try_for_each(|rows| Insert { sql, rows }.execute(conn).map(drop))
    }
}

impl<R: Bind> QueryFragment<Backend> for Insert<'_, R> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        let (before, after) = self.sql.split_once("{rows}").unwrap_or((self.sql, ""));
        out.push_sql(before);
        for (index, row) in self.rows.iter().enumerate() {
            out.push_sql(if index == 0 { "(" } else { ", (" });
            row.bind(&mut Values { out: out.reborrow(), first: true })?;
            out.push_sql(")");
        }
        out.push_sql(after);
        Ok(())
    }
}

impl<R> QueryId for Insert<'_, R> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<R> RunQueryDsl<SqliteConnection> for Insert<'_, R> {}

/// The values of one row.
pub(super) struct Values<'a, 'b> {
    out: AstPass<'a, 'b, Backend>,
    first: bool,
}

impl<'b> Values<'_, 'b> {
    pub(super) fn add<T, U>(&mut self, value: &'b U) -> QueryResult<()>
    where
        Backend: HasSqlType<T>,
        U: ToSql<T, Backend> + ?Sized,
    {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push_sql(", ");
        }
        self.out.push_bind_param::<T, U>(value)
    }
}
