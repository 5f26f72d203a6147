//! An application's own tables: models, queries and transactions, the same on both databases.

mod conn;
mod contains;
mod crud;
mod define;
mod list;
mod model;
mod narrow;
mod retry;
mod transaction;
mod value;

#[doc(hidden)]
pub use self::conn::{AnyConn, abandon, begin, commit, work};
pub use self::{
    conn::{Conn, QueryFuture, SqliteConn},
    crud::Data,
    list::{Condition, List, ListPage, Op, Sort},
    model::{Column, Kind, Model, Summary},
    transaction::{Isolation, Tx},
};
pub(crate) use self::{
    contains::pattern,
    retry::{TRIES, is_conflict, pause},
};
#[doc(hidden)]
pub use self::{
    contains::{Like, like},
    list::Checked,
    value::FromValue,
};
