//! "Has this text inside", as each database says it.

use diesel::{
    expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping},
    pg::Pg,
    query_builder::{AstPass, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{Bool, Nullable, Text},
    sqlite::Sqlite,
};

/// The LIKE pattern for a text anywhere inside, its own wildcards taken literally.
pub(crate) fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

/// Whether `text` is like `pattern`, upper and lower case taken as the same: on Postgres as the column's collation knows them,
/// on SQLite those of ASCII. Null where the text is null.
pub fn like<T: Expression>(text: T, pattern: String) -> Like<T> {
    Like { text, pattern }
}

/// See [`like`].
#[derive(Clone, Debug, QueryId, ValidGrouping)]
pub struct Like<T> {
    text: T,
    pattern: String,
}

impl<T: Expression> Expression for Like<T> {
    type SqlType = Nullable<Bool>;
}

impl<T: Expression + SelectableExpression<QS>, QS: ?Sized> SelectableExpression<QS> for Like<T> {}
impl<T: Expression + AppearsOnTable<QS>, QS: ?Sized> AppearsOnTable<QS> for Like<T> {}

impl<T: QueryFragment<Pg>> QueryFragment<Pg> for Like<T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.text.walk_ast(out.reborrow())?;
        out.push_sql(" ILIKE ");
        out.push_bind_param::<Text, String>(&self.pattern)?;
        out.push_sql(" ESCAPE '\\'");
        Ok(())
    }
}

impl<T: QueryFragment<Sqlite>> QueryFragment<Sqlite> for Like<T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.text.walk_ast(out.reborrow())?;
        out.push_sql(" LIKE ");
        out.push_bind_param::<Text, String>(&self.pattern)?;
        out.push_sql(" ESCAPE '\\'");
        Ok(())
    }
}
