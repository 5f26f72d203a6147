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
pub(crate) use self::retry::{TRIES, is_conflict, pause};
pub use self::{
    conn::{Conn, QueryFuture, SqliteConn},
    crud::Data,
    list::{Condition, List, ListPage, Op, Sort},
    model::{Column, Kind, Model, Summary},
    transaction::{Isolation, Tx},
};
#[doc(hidden)]
pub use self::{
    contains::{Like, like},
    list::Checked,
    value::FromValue,
};
