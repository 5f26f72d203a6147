//! The tables, the same on both databases, and the migrations that make them.

use millstream_store::{Migrations, embed_migrations};

pub(crate) const MIGRATIONS: Migrations = embed_migrations!("consent_manager": "0001" "consents");

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    texts (id) {
        id -> DbUuid,
        purpose -> Text,
        version -> BigInt,
        title -> Text,
        body -> Text,
        sha256 -> Text,
        created_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    records (seq) {
        seq -> BigInt,
        id -> DbUuid,
        subject -> Text,
        purpose -> Text,
        version -> BigInt,
        text_sha256 -> Text,
        action -> Text,
        method -> Text,
        actor -> Text,
        source -> Text,
        at -> DbTime,
        previous -> Text,
        hash -> Text,
    }
}

diesel::table! {
    chain (id) {
        id -> BigInt,
        length -> BigInt,
        hash -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    // A view.
    consents (seq) {
        seq -> BigInt,
        id -> DbUuid,
        subject -> Text,
        purpose -> Text,
        version -> BigInt,
        action -> Text,
        at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::DbTime;

    suppressions (seq) {
        seq -> BigInt,
        subject -> Text,
        purpose -> Text,
        suppressed_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    exports (id) {
        id -> DbUuid,
        subject -> Text,
        created_at -> DbTime,
        document -> Nullable<Text>,
    }
}
