//! Deals and their pipeline.

use diesel::{
    dsl::{count_star, sql},
    prelude::*,
    sql_types::BigInt,
};
use diesel_async::RunQueryDsl;
use millstream_store::{Data, Id, Store, Time, model, query};
use serde::{Deserialize, Serialize};

use crate::{CrmError, Record, Reference, check, schema::deals};

/// In the order of a deal's life.
pub const STAGES: [&str; 5] = ["lead", "qualified", "proposal", "won", "lost"];
/// In minor units; see the table's own check.
const MOST: i64 = 1_000_000_000_000;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = deals, treat_none_as_null = true)]
pub struct Deal {
    pub id: Id,
    pub version: i64,
    pub title: String,
    pub company: Id,
    pub contact: Option<Id>,
    /// One of [`STAGES`].
    pub stage: String,
    /// In minor units.
    pub amount: i64,
    /// Three letters.
    pub currency: String,
    pub created_at: Time,
    pub updated_at: Time,
    #[serde(skip)]
    pub deleted_at: Option<Time>,
}

model! {
    Deal in deals {
        key: id as Id,
        version: version,
        created: created_at,
        updated: updated_at,
        deleted: deleted_at,
        filters: { id: id, title: text, company: id, contact: id, stage: text, amount: int, currency: text, created_at: time },
        sorts: { title as String, amount as i64, created_at as Time },
        search: { title },
        sums: { amount },
    }
}

/// What is said of a deal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DealFields {
    pub title: String,
    pub company: Id,
    pub contact: Option<Id>,
    pub stage: String,
    pub amount: i64,
    pub currency: String,
}

impl Record for Deal {
    const NAME: &'static str = "deal";
    const TAKEN: &'static str = "another deal has this id";
    type Fields = DealFields;

    fn blank(id: Id) -> Self {
        Self { id, ..Self::default() }
    }

    fn set(&mut self, fields: DealFields) -> Result<(), CrmError> {
        let DealFields { title, company, contact, stage, amount, currency } = fields;
        if !STAGES.contains(&&*stage) {
            return Err(CrmError::Invalid(format!("{stage:?} is no stage; those are {}", STAGES.join(", "))));
        }
        if !(0..=MOST).contains(&amount) {
            return Err(CrmError::Invalid(format!("an amount of {amount} is not within 0 to {MOST} minor units")));
        }
        if currency.len() != 3 || !currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
            return Err(CrmError::Invalid(format!("{currency:?} is no currency such as \"EUR\"")));
        }
        let title = check::text("title", &title, 200).map_err(CrmError::Invalid)?;
        *self = Self { title, company, contact, stage, amount, currency, ..self.clone() };
        Ok(())
    }

    fn refers_to(&self) -> Vec<Reference> {
        let contact = self.contact.map(Reference::Contact);
        std::iter::once(Reference::Company(self.company)).chain(contact).collect()
    }
}

/// The deals of a stage in a currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageTotal {
    pub stage: String,
    pub currency: String,
    pub deals: i64,
    /// In minor units.
    pub amount: i64,
}

/// The totals of all stages that have deals, in the order of [`STAGES`].
pub async fn pipeline(store: &Store) -> Result<Vec<StageTotal>, CrmError> {
    let rows: Vec<(String, String, i64, i64)> = store
        .read(query!(|conn: Db| {
            // Postgres sums into a numeric.
            let sum = sql::<BigInt>("CAST(SUM(amount) AS BIGINT)");
            let stages = deals::table.filter(deals::deleted_at.is_null()).group_by((deals::stage, deals::currency));
            stages.select((deals::stage, deals::currency, count_star(), sum)).load(conn).await
        }))
        .await?;
    let total = |(stage, currency, deals, amount)| StageTotal { stage, currency, deals, amount };
    let mut totals: Vec<_> = rows.into_iter().map(total).collect();
    let place = |stage: &str| STAGES.iter().position(|known| *known == stage);
    totals.sort_by(|one, other| (place(&one.stage), &one.currency).cmp(&(place(&other.stage), &other.currency)));
    Ok(totals)
}
