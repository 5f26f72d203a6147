//! Accounts, and transfers between them.
//!
//! What must hold is held by the schema: balances follow transfers by a trigger, and an account that may not be overdrawn
//! can't be. So transfers run at `READ COMMITTED`, and of two that spend the same money the later one fails at the check.

use diesel::{
    prelude::*,
    result::{DatabaseErrorKind, Error as Diesel},
};
use millstream_store::{Data, Error, Id, Isolation, List, Op, Store, Time, Tx, model};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::schema::{accounts, lines, transfers};

/// Where money is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
pub struct Account {
    pub id: Id,
    pub name: String,
    /// `asset`, `liability`, `equity`, `income` or `expense`.
    pub kind: String,
    /// Three letters.
    pub currency: String,
    pub may_overdraw: bool,
    /// What came in less what went out, in minor units.
    pub balance: i64,
    pub created_at: Time,
}

/// Money that went from one account to another. It is never changed: [`reverse`] takes it back by another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
pub struct Transfer {
    pub id: Id,
    /// The idempotency key it was asked for with.
    pub key: Option<String>,
    pub from_account: Id,
    pub to_account: Id,
    pub currency: String,
    /// In minor units, always positive.
    pub amount: i64,
    pub memo: String,
    pub reverses: Option<Id>,
    pub created_at: Time,
}

/// A transfer as one of its accounts sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
pub struct Line {
    /// The transfer.
    pub id: Id,
    pub account: Id,
    pub other: Id,
    /// Negative where it went out.
    pub amount: i64,
    pub memo: String,
    pub created_at: Time,
}

model! {
    Account in accounts {
        key: id as Id,
        created: created_at,
        filters: { name: text, kind: text, currency: text, balance: int },
        sorts: { name as String, created_at as Time },
        search: { name },
    }
}

model! {
    Transfer in transfers {
        key: id as Id,
        created: created_at,
        filters: { key: text, from_account: id, to_account: id, amount: int, reverses: id, created_at: time },
        sorts: { created_at as Time },
        search: { memo },
    }
}

model! {
    Line in lines {
        key: id as Id,
        filters: { account: id, other: id, amount: int, created_at: time },
        sorts: { created_at as Time },
        search: { memo },
        sums: { amount },
    }
}

/// What an account is opened with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    pub name: String,
    pub kind: String,
    pub currency: String,
    #[serde(default)]
    pub may_overdraw: bool,
}

/// What is asked of a transfer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTransfer {
    pub from: Uuid,
    pub to: Uuid,
    pub amount: i64,
    #[serde(default)]
    pub memo: String,
    /// Makes it safe to ask again: see [`transfer`].
    #[serde(skip)]
    pub key: Option<String>,
}

/// A transfer that stands in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    pub transfer: Transfer,
    /// It stood there before it was asked for this time.
    pub repeated: bool,
}

/// Why the books did not change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    #[error("{0}")]
    Invalid(String),
    #[error("there is no {what} {id}")]
    Missing { what: &'static str, id: String },
    #[error("{from} can't be transferred to an account in {to}")]
    Currencies { from: String, to: String },
    #[error("account {account} has not enough for {amount}")]
    Insufficient { account: Uuid, amount: i64 },
    #[error("account {account} can't hold {amount} more")]
    Overflow { account: Uuid, amount: i64 },
    #[error("the key {key:?} belongs to another transfer: take a new key for a new transfer")]
    KeyTaken { key: String },
    #[error(transparent)]
    Store(#[from] Error),
}

/// Opens an account with nothing in it.
pub async fn open(store: &Store, new: NewAccount) -> Result<Account, LedgerError> {
    let name = text("name", new.name.trim(), 1, 200)?;
    if !["asset", "liability", "equity", "income", "expense"].contains(&&*new.kind) {
        return invalid(format!("{:?} is not asset, liability, equity, income or expense", new.kind));
    }
    if new.currency.len() != 3 || !new.currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
        return invalid(format!("{:?} is no currency such as \"EUR\"", new.currency));
    }
    let NewAccount { kind, currency, may_overdraw, .. } = new;
    let id = Id::new();
    let account = Account { id, name, kind, currency, may_overdraw, balance: 0, created_at: Time::default() };
    Ok(store.insert(&account).await?)
}

/// Moves money. Asked again with the same key it answers with the first transfer, and with another content it refuses.
pub async fn transfer(store: &Store, new: NewTransfer) -> Result<Transferred, LedgerError> {
    if new.amount <= 0 {
        return invalid(format!("an amount of {} is not positive: swap the accounts instead", new.amount));
    }
    if new.from == new.to {
        return invalid(format!("{} can't pay itself", new.from));
    }
    text("memo", &new.memo, 0, 500)?;
    if let Some(key) = &new.key {
        text("key", key, 1, 200)?;
    }
    let transfer = Transfer {
        id: Id::new(),
        key: new.key,
        from_account: Id(new.from),
        to_account: Id(new.to),
        currency: String::new(),
        amount: new.amount,
        memo: new.memo,
        reverses: None,
        created_at: Time::default(),
    };
    post(store, transfer).await
}

/// Takes a transfer back by one in the other direction, once: asked again it answers with that one.
pub async fn reverse(store: &Store, id: Uuid) -> Result<Transferred, LedgerError> {
    let first = store.get::<Transfer>(Id(id)).await?;
    let first = first.ok_or_else(|| LedgerError::Missing { what: "transfer", id: id.to_string() })?;
    if let Some(reversed) = first.reverses {
        return invalid(format!("{id} is itself the reversal of {reversed}: transfer anew instead"));
    }
    let back = Transfer {
        id: Id::new(),
        key: None,
        from_account: first.to_account,
        to_account: first.from_account,
        memo: format!("reversal of {id}"),
        reverses: Some(first.id),
        ..first
    };
    post(store, back).await
}

/// Writes a transfer, unless it is there already by its key or by what it reverses.
async fn post(store: &Store, transfer: Transfer) -> Result<Transferred, LedgerError> {
    let attempt = || {
        let transfer = transfer.clone();
        store.transaction_at(Isolation::ReadCommitted, async move |tx| write(&tx, transfer.clone()).await)
    };
    match attempt().await {
        // Someone else wrote the same one a moment before: now it is found.
        Err(LedgerError::Store(Error::Query(Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, _)))) => {
            attempt().await
        }
        Err(LedgerError::Store(Error::Query(Diesel::DatabaseError(DatabaseErrorKind::CheckViolation, _)))) => {
            Err(LedgerError::Insufficient { account: transfer.from_account.0, amount: transfer.amount })
        }
        done => done,
    }
}

async fn write(tx: &Tx, mut transfer: Transfer) -> Result<Transferred, LedgerError> {
    if let Some(transfer) = earlier(tx, &transfer).await? {
        return Ok(Transferred { transfer, repeated: true });
    }
    let (from, to) = (account(tx, transfer.from_account).await?, account(tx, transfer.to_account).await?);
    if from.currency != to.currency {
        return Err(LedgerError::Currencies { from: from.currency, to: to.currency });
    }
    let amount = transfer.amount;
    if !from.may_overdraw && from.balance < amount {
        return Err(LedgerError::Insufficient { account: from.id.0, amount });
    }
    for (account, change) in [(&from, -amount), (&to, amount)] {
        if account.balance.checked_add(change).is_none() {
            return Err(LedgerError::Overflow { account: account.id.0, amount });
        }
    }
    transfer.currency = from.currency;
    Ok(Transferred { transfer: tx.insert(&transfer).await?, repeated: false })
}

/// The transfer that this one repeats.
async fn earlier(tx: &Tx, new: &Transfer) -> Result<Option<Transfer>, LedgerError> {
    let same = match (&new.key, new.reverses) {
        (Some(key), _) => List::new().filter("key", Op::Eq, key),
        (None, Some(reversed)) => List::new().filter("reverses", Op::Eq, reversed),
        (None, None) => return Ok(None),
    };
    let Some(found) = tx.list::<Transfer>(same.limit(1)).await?.rows.pop() else { return Ok(None) };
    let facts =
        |transfer: &Transfer| (transfer.from_account, transfer.to_account, transfer.amount, transfer.memo.clone());
    if facts(&found) != facts(new) {
        return Err(LedgerError::KeyTaken { key: found.key.unwrap_or_default() });
    }
    Ok(Some(found))
}

async fn account(tx: &Tx, id: Id) -> Result<Account, LedgerError> {
    tx.get(id).await?.ok_or_else(|| LedgerError::Missing { what: "account", id: id.to_string() })
}

fn text(what: &str, text: &str, least: usize, most: usize) -> Result<String, LedgerError> {
    if !(least..=most).contains(&text.chars().count()) || text.contains('\0') {
        return invalid(format!("a {what} has {least} to {most} characters, none of them NUL"));
    }
    Ok(text.to_owned())
}

fn invalid<T>(reason: String) -> Result<T, LedgerError> {
    Err(LedgerError::Invalid(reason))
}
