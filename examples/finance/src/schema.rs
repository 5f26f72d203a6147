//! The tables, once for both databases.

use millstream_store::Migrations;

/// The ledger's tables; they stand beside Millstream's.
pub const MIGRATIONS: Migrations = millstream_store::embed_migrations!("finance": "0001" "ledger");

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    accounts (id) {
        id -> DbUuid,
        name -> Text,
        kind -> Text,
        currency -> Text,
        may_overdraw -> Bool,
        balance -> BigInt,
        created_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    transfers (id) {
        id -> DbUuid,
        key -> Nullable<Text>,
        from_account -> DbUuid,
        to_account -> DbUuid,
        currency -> Text,
        amount -> BigInt,
        memo -> Text,
        reverses -> Nullable<DbUuid>,
        created_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    lines (id) {
        id -> DbUuid,
        account -> DbUuid,
        other -> DbUuid,
        amount -> BigInt,
        memo -> Text,
        created_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    statements (id) {
        id -> DbUuid,
        account -> DbUuid,
        month -> Text,
        opening -> BigInt,
        received -> BigInt,
        spent -> BigInt,
        closing -> BigInt,
        transfers -> BigInt,
        created_at -> DbTime,
    }
}
