//! The tables of the migrations, once for both databases.

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::{DbJson, DbTime, DbUuid};

    millstream_jobs (id) {
        id -> DbUuid,
        queue -> Text,
        kind -> Text,
        version -> BigInt,
        lane -> Text,
        state -> Text,
        attempt -> BigInt,
        run -> BigInt,
        crash -> BigInt,
        enqueued_at -> DbTime,
        first_started_at -> Nullable<DbTime>,
        started_at -> Nullable<DbTime>,
        finished_at -> DbTime,
        next_at -> Nullable<DbTime>,
        worker -> Text,
        error -> Nullable<Text>,
        content_type -> Nullable<Text>,
        payload -> Nullable<DbJson>,
        payload_raw -> Nullable<Binary>,
        result -> Nullable<DbJson>,
        result_raw -> Nullable<Binary>,
        tags -> Nullable<DbJson>,
        trace_id -> Nullable<Text>,
        progress -> Nullable<DbJson>,
        revived_from -> Nullable<DbUuid>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::{DbJson, DbTime, DbUuid};

    millstream_attempts (job_id, run) {
        job_id -> DbUuid,
        run -> BigInt,
        attempt -> BigInt,
        crash -> BigInt,
        state -> Text,
        started_at -> Nullable<DbTime>,
        finished_at -> DbTime,
        next_at -> Nullable<DbTime>,
        worker -> Text,
        error -> Nullable<Text>,
        log -> Nullable<Text>,
        progress -> Nullable<DbJson>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::{DbTime, DbUuid};

    millstream_job_tags (tag, job_id) {
        tag -> Text,
        job_id -> DbUuid,
        finished_at -> DbTime,
        /// Names the partition of the job's row.
        enqueued_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::{DbTime, DbUuid};

    millstream_job_fields (job_id, field) {
        job_id -> DbUuid,
        field -> Text,
        kind -> Text,
        value -> Text,
        finished_at -> DbTime,
        /// Names the partition of the job's row.
        enqueued_at -> DbTime,
    }
}

diesel::allow_tables_to_appear_in_same_query!(millstream_jobs, millstream_job_tags, millstream_job_fields);

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::{DbTime, DbUuid};

    /// Jobs and events that wait for their relay to Redis.
    millstream_outbox (seq) {
        /// Given by the database.
        seq -> BigInt,
        /// `queue:<name>` or `topic:<name>`.
        target -> Text,
        /// Rows of a target with one key keep the order of their commits.
        order_key -> Nullable<Text>,
        /// The job's kind or the topic's name.
        kind -> Text,
        /// The id of the job or of the event.
        id -> DbUuid,
        /// The payload, JSON.
        body -> Text,
        /// A JSON object of what differs from the defaults.
        options -> Nullable<Text>,
        /// When it was written.
        created_at -> DbTime,
    }
}

diesel::table! {
    millstream_outbox_batches (target) {
        target -> Text,
        batch -> BigInt,
        members -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::{DbTime, DbUuid};

    millstream_rejected (id) {
        id -> DbUuid,
        queue -> Text,
        entry -> Text,
        job_id -> Nullable<DbUuid>,
        reason -> Text,
        body -> Binary,
        rejected_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::{DbTime, DbUuid};

    millstream_statistics (id) {
        id -> DbUuid,
        kind -> Text,
        queue -> Text,
        state -> Text,
        seconds -> BigInt,
        bucket -> DbTime,
        runs -> BigInt,
        waits -> Binary,
        run_times -> Binary,
        folded -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::DbTime;

    millstream_state (scope, key) {
        scope -> Text,
        key -> Text,
        version -> BigInt,
        value -> Nullable<Text>,
        expires_at -> Nullable<DbTime>,
        updated_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::DbTime;

    millstream_state_history (scope, key, version) {
        scope -> Text,
        key -> Text,
        version -> BigInt,
        value -> Nullable<Text>,
        written_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::DbTime;

    millstream_fences (resource) {
        resource -> Text,
        token -> BigInt,
        updated_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::DbTime;

    millstream_watermarks (queue) {
        queue -> Text,
        version -> BigInt,
        server -> Text,
        streams -> Text,
        first_at -> DbTime,
        taken_at -> DbTime,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::sql_types::{DbTime, DbUuid};

    millstream_losses (id) {
        id -> DbUuid,
        queue -> Text,
        what -> Text,
        entries -> BigInt,
        since -> DbTime,
        found_at -> DbTime,
        cause -> Text,
    }
}
