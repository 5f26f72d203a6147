//! Appending to the chain: one transaction per record, one at a time.

use millstream_store::{Data, Isolation, Tx};

use crate::{Action, ConsentError, ConsentWithdrawn, Ledger, Record, Statement, Text, chain, ledger, suppress, text};

impl Ledger {
    /// Takes down that a subject agrees to a text. When this returns, the record is in the database and in the chain.
    ///
    /// A statement with an id may be repeated: the record that is there is given back.
    ///
    /// # Errors
    /// [`ConsentError::Invalid`], [`ConsentError::UnknownText`], [`ConsentError::Superseded`], [`ConsentError::IdTaken`],
    /// [`ConsentError::Store`].
    pub async fn grant(&self, statement: Statement) -> Result<Record, ConsentError> {
        self.append(Action::Granted, statement).await
    }

    /// Takes down that a subject doesn't agree any more. The event [`ConsentWithdrawn`] follows, if
    /// and only if this succeeds.
    ///
    /// # Errors
    /// [`ConsentError::Invalid`], [`ConsentError::NotGranted`], [`ConsentError::IdTaken`], [`ConsentError::Store`].
    pub async fn withdraw(&self, statement: Statement) -> Result<Record, ConsentError> {
        self.append(Action::Withdrawn, statement).await
    }

    async fn append(&self, action: Action, statement: Statement) -> Result<Record, ConsentError> {
        statement.check(action)?;
        let appending = self.store().transaction_at(Isolation::ReadCommitted, async move |tx| {
            // First of all: whatever is decided below is decided by what the record before left.
            let head = chain::lock(&tx).await?;
            if let Some(id) = statement.id
                && let Some(there) = ledger::record(&tx, id).await?
            {
                return if statement.is_kept_by(&there, action) { Ok(there) } else { Err(ConsentError::IdTaken(id.0)) };
            }
            let text = match action {
                Action::Granted => text_in_force(&tx, &statement).await?,
                Action::Withdrawn => text_granted(&tx, &statement).await?,
            };
            let record = tx.insert(&head.next(action, &statement, &text)).await?;
            chain::advance(&tx, &record).await?;
            match action {
                Action::Granted => suppress::lift(&tx, &record).await?,
                Action::Withdrawn => {
                    tx.publish(ConsentWithdrawn::of(&record)).subject(&record.subject).await?;
                }
            }
            Ok(record)
        });
        appending.await
    }
}

/// The text that a grant names, if nothing newer is in force.
async fn text_in_force(tx: &Tx, statement: &Statement) -> Result<Text, ConsentError> {
    let (purpose, version) = (statement.purpose.clone(), statement.version.unwrap_or_default());
    match text::newest(tx, &purpose).await? {
        Some(newest) if newest.version == version => Ok(newest),
        Some(Text { version: newest, .. }) if (1..newest).contains(&version) => {
            Err(ConsentError::Superseded { purpose, version, newest })
        }
        _ => Err(ConsentError::UnknownText { purpose, version }),
    }
}

/// The text whose grant is withdrawn.
async fn text_granted(tx: &Tx, statement: &Statement) -> Result<Text, ConsentError> {
    let Statement { subject, purpose, .. } = statement;
    let granted = ledger::present(tx, subject, purpose).await?.filter(|last| last.action == Action::Granted);
    let Some(granted) = granted else {
        return Err(ConsentError::NotGranted { subject: subject.clone(), purpose: purpose.clone() });
    };
    let unknown = || ConsentError::UnknownText { purpose: purpose.clone(), version: granted.version };
    text::find(tx, purpose, granted.version).await?.ok_or_else(unknown)
}
