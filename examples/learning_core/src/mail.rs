//! Where mails go: to whatever implements [`Mailer`], here to a table.

use std::error::Error;

use diesel_async::RunQueryDsl;
use millstream_store::{Data, Id, Store, Time, diesel, query};

use crate::{SentMail, schema::mails};

/// A mail to a learner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// What it is about. Two mails with one key are one, whatever else they say.
    pub key: String,
    /// Who it is for.
    pub learner: Id,
    /// Where it goes.
    pub address: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub body: String,
}

/// Sends mails.
pub trait Mailer: Send + Sync + 'static {
    /// Why a mail could not be sent.
    type Error: Into<Box<dyn Error + Send + Sync>> + Send;

    /// Sends a mail, unless one with its key was sent. A job may run twice, so pass the key on to a provider, who calls it
    /// an idempotency key.
    fn send(&self, mail: Mail) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Keeps mails in the table `mails` instead of sending them.
#[derive(Clone, Debug)]
pub struct MailTable(pub Store);

impl Mailer for MailTable {
    type Error = millstream_store::Error;

    async fn send(&self, mail: Mail) -> Result<(), Self::Error> {
        let Mail { key, learner: learner_id, address, subject, body } = mail;
        let sent = SentMail { key, learner_id, address, subject, body, sent_at: Time::now() };
        let insert = query!(|conn: Db| {
            diesel::insert_into(mails::table).values(sent).on_conflict_do_nothing().execute(conn).await
        });
        self.0.write(insert).await.map(drop)
    }
}
