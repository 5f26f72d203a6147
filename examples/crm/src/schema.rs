//! The tables, once for both databases.

use millstream_store::Migrations;

/// The tables of the application; they stand beside Millstream's.
pub const MIGRATIONS: Migrations = millstream_store::embed_migrations!("crm": "0001" "crm");

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    companies (id) {
        id -> DbUuid,
        version -> BigInt,
        name -> Text,
        domain -> Nullable<Text>,
        created_at -> DbTime,
        updated_at -> DbTime,
        deleted_at -> Nullable<DbTime>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    contacts (id) {
        id -> DbUuid,
        version -> BigInt,
        name -> Text,
        email -> Text,
        phone -> Nullable<Text>,
        company -> Nullable<DbUuid>,
        import -> Nullable<DbUuid>,
        import_row -> Nullable<BigInt>,
        created_at -> DbTime,
        updated_at -> DbTime,
        deleted_at -> Nullable<DbTime>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    deals (id) {
        id -> DbUuid,
        version -> BigInt,
        title -> Text,
        company -> DbUuid,
        contact -> Nullable<DbUuid>,
        stage -> Text,
        amount -> BigInt,
        currency -> Text,
        created_at -> DbTime,
        updated_at -> DbTime,
        deleted_at -> Nullable<DbTime>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    imports (id) {
        id -> DbUuid,
        version -> BigInt,
        file -> Text,
        bytes -> BigInt,
        state -> Text,
        rows -> BigInt,
        imported -> BigInt,
        bad -> BigInt,
        error -> Nullable<Text>,
        created_at -> DbTime,
        updated_at -> DbTime,
        finished_at -> Nullable<DbTime>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    bad_rows (id) {
        id -> DbUuid,
        import -> DbUuid,
        number -> BigInt,
        line -> BigInt,
        reason -> Text,
    }
}
