//! An application of the tests, as one would write it: its tables, models and migrations.

use diesel::prelude::*;
use millstream_store::{EmbeddedMigration, Id, Json, Migrations, Store, Time};

use crate::database::Database;

diesel::table! {
    use diesel::sql_types::*;
    use millstream_store::sql_types::{DbJson, DbTime, DbUuid};

    contacts (id) {
        id -> DbUuid,
        version -> BigInt,
        name -> Text,
        email -> Text,
        age -> Nullable<BigInt>,
        score -> Double,
        vip -> Bool,
        notes -> Nullable<DbJson>,
        created_at -> DbTime,
        updated_at -> DbTime,
        deleted_at -> Nullable<DbTime>,
    }
}

diesel::table! {
    labels (name) {
        name -> Text,
        uses -> Integer,
    }
}

#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = contacts, treat_none_as_null = true)]
pub(crate) struct Contact {
    pub(crate) id: Id,
    pub(crate) version: i64,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) age: Option<i64>,
    pub(crate) score: f64,
    pub(crate) vip: bool,
    pub(crate) notes: Option<Json>,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
    pub(crate) deleted_at: Option<Time>,
}

millstream_store::model! {
    Contact in contacts {
        key: id as Id,
        version: version,
        created: created_at,
        updated: updated_at,
        deleted: deleted_at,
        filters: { id: id, name: text, email: text, age: int, score: real, vip: bool, created_at: time },
        sorts: { name as String, created_at as Time, score as f64 },
        search: { name, email },
        sums: { age },
    }
}

#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = labels)]
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) uses: i32,
}

millstream_store::model! { Label in labels { key: name as String, filters: { uses: int32 } } }

impl Contact {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            id: Id::new(),
            version: 0,
            name: name.to_owned(),
            email: format!("{}@example.com", Id::new()),
            age: None,
            score: 0.0,
            vip: false,
            notes: None,
            created_at: Time::default(),
            updated_at: Time::default(),
            deleted_at: None,
        }
    }

    pub(crate) fn aged(name: &str, age: i64) -> Self {
        Self { age: Some(age), ..Self::new(name) }
    }
}

const POSTGRES: EmbeddedMigration = EmbeddedMigration::new(
    "0001",
    "contacts",
    "CREATE TABLE contacts (
         id uuid PRIMARY KEY, version bigint NOT NULL, name text NOT NULL, email text NOT NULL UNIQUE, age bigint,
         score double precision NOT NULL, vip boolean NOT NULL, notes jsonb, created_at timestamptz NOT NULL,
         updated_at timestamptz NOT NULL, deleted_at timestamptz, CHECK (age >= 0));
     CREATE INDEX contacts_by_name ON contacts (name, id);
     CREATE TABLE labels (name text PRIMARY KEY, uses integer NOT NULL);",
    "DROP TABLE labels; DROP TABLE contacts;",
);
const SQLITE: EmbeddedMigration = EmbeddedMigration::new(
    "0001",
    "contacts",
    "CREATE TABLE contacts (
         id BLOB NOT NULL PRIMARY KEY, version INTEGER NOT NULL, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, age INTEGER,
         score REAL NOT NULL, vip INTEGER NOT NULL, notes TEXT, created_at TEXT NOT NULL,
         updated_at TEXT NOT NULL, deleted_at TEXT, CHECK (age >= 0)) STRICT;
     CREATE INDEX contacts_by_name ON contacts (name, id);
     CREATE TABLE labels (name TEXT NOT NULL PRIMARY KEY, uses INTEGER NOT NULL) STRICT;",
    "DROP TABLE labels; DROP TABLE contacts;",
);

pub(crate) const SHOP: Migrations = Migrations::new("shop", &[POSTGRES], &[SQLITE]);

/// A store with the application's tables.
pub(crate) async fn shop(database: &Database) -> Store {
    opened(database.store().await).await
}

pub(crate) async fn opened(store: Store) -> Store {
    store.migrator().with(SHOP).up().await.expect("migrations");
    store
}
