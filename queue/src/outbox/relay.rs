//! A numbered batch of an outbox on its way to Redis.

use std::sync::LazyLock;

use chrono::Utc;
use redis::{Script, ScriptInvocation};

use super::{Message, Target};
use crate::{
    Client, Conflict, Entry, Error, Lane, Stored, Until, event::envelope::Outgoing, id, keys, msgpack, scripts,
};

static JOBS: LazyLock<Script> = LazyLock::new(|| scripts::with_outbox_jobs(include_str!("../lua/outbox_jobs.lua")));
static EVENTS: LazyLock<Script> = LazyLock::new(|| scripts::with_outbox(include_str!("../lua/outbox_events.lua")));

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Relayed {
    /// The number of the last batch that the target had before this call. Where it is not below the batch's own, this call
    /// changed nothing: the batch itself had arrived before, or a later one.
    pub last: u64,
    /// The messages that Redis refused, by their place in the batch from 0, with the reason. The others have arrived.
    pub refused: Vec<(usize, String)>,
}

impl Client {
    /// Enqueues or publishes the messages of one target as the batch `number` of the outbox `outbox`, all of them or, if this or a
    /// higher number of that outbox arrived before, none. So it may be sent any number of times. Numbers begin at 1, and a batch
    /// must be written down with its number before it is sent, so that no other messages ever go by that number.
    ///
    /// # Errors
    /// [`Error::Time`] for a message that [`Message::check`] refuses; [`Error::Unreachable`] and [`Error::Redis`], after which
    /// the batch may or may not have arrived.
    pub async fn relay(
        &self,
        outbox: &str,
        target: &Target,
        number: u64,
        messages: &[Message],
    ) -> Result<Relayed, Error> {
        let call = match target {
            Target::Queue(queue) => self.jobs_call(outbox, queue, number, messages)?,
            Target::Topic(topic) => self.events_call(outbox, topic, number, messages),
        };
        let (last, refused): (u64, Vec<u8>) = call.invoke_async(&mut self.connection().await?).await?;
        let refused = serde_json::from_str(&String::from_utf8_lossy(&refused)).unwrap_or_default();
        Ok(Relayed { last, refused })
    }

    fn jobs_call(
        &self,
        outbox: &str,
        queue: &str,
        number: u64,
        messages: &[Message],
    ) -> Result<ScriptInvocation<'static>, Error> {
        let keys = self.keys(queue);
        let mut call = JOBS.key(keys.outbox());
        call.key(keys.later()).key(keys.later_jobs());
        for lane in [Lane::High, Lane::Normal, Lane::Low] {
            call.key(keys.ready(lane));
        }
        call.arg(outbox).arg(number).arg(keys.signal()).arg(keys.prefix());
        let window_ms = self.dedup_window().as_millis() as i64;
        let bucket = Utc::now().timestamp_millis() / window_ms;
        for message in messages {
            let options = &message.options;
            let lane = match options.lane.as_deref() {
                Some("high") => Lane::High,
                Some("low") => Lane::Low,
                _ => Lane::Normal,
            };
            let id = match &options.key {
                Some(key) => id::keyed(self.namespace(), queue, key),
                None => message.id,
            };
            let entry = Entry {
                version: options.v.unwrap_or(1),
                options: options.opt.as_ref().and_then(crate::Options::to_field),
                traceparent: options.tp.clone(),
                ..Entry::new(&*message.kind, &*message.body, id, message.created_at.timestamp_millis())
            };
            let (when, ms) = options.when().argument()?;
            call.arg(id.to_string()).arg(lane.index()).arg(when).arg(ms);
            call.arg(Stored { lane, entry: &entry, error: None }.pack());
            call.arg(if options.key.is_some() { window_ms } else { 0 }).arg(bucket);
            match options.opt.as_ref().and_then(|opt| opt.unique.as_ref()) {
                Some(unique) => {
                    let (until, conflict): (Until, Conflict) = (unique.until, options.conflict.unwrap_or_default());
                    call.arg(&unique.key).arg(options.unique_ms.unwrap_or(1).max(1));
                    call.arg(format!("{} {}", until.as_str(), conflict.as_str()));
                }
                None => drop(call.arg("").arg(0).arg("")),
            }
        }
        Ok(call)
    }

    fn events_call(&self, outbox: &str, topic: &str, number: u64, messages: &[Message]) -> ScriptInvocation<'static> {
        let mut call = EVENTS.key(keys::event_outbox(self.namespace(), topic));
        call.key(keys::event_log(self.namespace(), topic)).arg(outbox).arg(number);
        for message in messages {
            let event = Outgoing {
                id: message.id,
                source: self.source(),
                subject: message.options.subject.as_deref(),
                time: message.created_at,
                name: topic,
                version: message.options.v.unwrap_or(1),
                data: message.body.as_bytes(),
            };
            let fields = event.fields();
            let mut packed = Vec::with_capacity(message.body.len() + 256);
            msgpack::array(&mut packed, fields.len() as u32 * 2);
            for (name, value) in fields {
                msgpack::text(&mut packed, name.as_bytes());
                msgpack::text(&mut packed, &value);
            }
            call.arg(packed);
        }
        call
    }
}
