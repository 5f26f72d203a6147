//! The tables of the migrations, once for both databases.

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    courses (id) {
        id -> DbUuid,
        version -> BigInt,
        title -> Text,
        created_at -> DbTime,
        updated_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::DbUuid;

    lessons (id) {
        id -> DbUuid,
        course_id -> DbUuid,
        place -> BigInt,
        title -> Text,
        seconds -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    learners (id) {
        id -> DbUuid,
        version -> BigInt,
        name -> Text,
        email -> Text,
        time_zone -> Text,
        streak -> BigInt,
        active_on -> Nullable<Date>,
        created_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbJson, DbTime, DbUuid};

    enrolments (id) {
        id -> DbUuid,
        version -> BigInt,
        learner_id -> DbUuid,
        course_id -> DbUuid,
        completed -> DbJson,
        position -> BigInt,
        completed_at -> Nullable<DbTime>,
        created_at -> DbTime,
        updated_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbTime, DbUuid};

    mails (key) {
        key -> Text,
        learner_id -> DbUuid,
        address -> Text,
        subject -> Text,
        body -> Text,
        sent_at -> DbTime,
    }
}
