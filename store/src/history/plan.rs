//! What a database says of how it would answer.

use diesel::{
    QueryResult,
    backend::Backend,
    deserialize::{self, QueryableByName},
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    row::NamedRow,
    sql_types::{Text, Untyped},
    sqlite::Sqlite,
};

/// Asks for the plan of a query instead of its rows.
pub(super) struct Explain<Q>(pub(super) Q);

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Explain<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("EXPLAIN ");
        self.0.walk_ast(out)
    }
}

impl<Q: QueryFragment<Sqlite>> QueryFragment<Sqlite> for Explain<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("EXPLAIN QUERY PLAN ");
        self.0.walk_ast(out)
    }
}

impl<Q> Query for Explain<Q> {
    type SqlType = Untyped;
}

impl<Q> QueryId for Explain<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// One step, indented by Postgres.
pub(super) struct Step(pub(super) String);

/// The column that holds it.
trait Explains: Backend {
    const COLUMN: &'static str;
}

impl Explains for Pg {
    const COLUMN: &'static str = "QUERY PLAN";
}

impl Explains for Sqlite {
    const COLUMN: &'static str = "detail";
}

impl<DB: Explains> QueryableByName<DB> for Step
where
    String: deserialize::FromSql<Text, DB>,
{
    fn build<'a>(row: &impl NamedRow<'a, DB>) -> deserialize::Result<Self> {
        NamedRow::get::<Text, String>(row, DB::COLUMN).map(Self)
    }
}
