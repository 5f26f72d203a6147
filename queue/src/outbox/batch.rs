//! Messages packed as the arguments of the script that takes them to their target.

use std::sync::LazyLock;

use chrono::Utc;
use redis::{Cmd, Script};
use uuid::Uuid;

use super::{MessageOptions, MessageRef, Target};
use crate::{
    Client, Conflict, Entry, Lane, Options, Stored, UniqueKey, Until, client::PAYLOAD_LIMIT, event::envelope::Outgoing,
    id, keys, push::when::When, scripts,
};

static JOBS: LazyLock<Script> = LazyLock::new(|| scripts::with_outbox_jobs(include_str!("../lua/outbox_jobs.lua")));
static EVENTS: LazyLock<Script> = LazyLock::new(|| scripts::with_outbox(include_str!("../lua/outbox_events.lua")));

/// A batch's arguments beside those of its messages, some more than there are without many groups.
const ARGUMENTS: usize = 32;
/// Bytes of a message beside its payload: kind, id and time.
const BESIDE_PAYLOAD: usize = 80;

/// A numbered batch of an outbox, packed for its target; [`Client::outbox_batch`] begins one and [`Client::relay`] sends it.
#[derive(Debug)]
pub struct OutboxBatch {
    client: Client,
    target: Target,
    script: &'static Script,
    call: Cmd,
    groups: Vec<Group>,
    /// The number of the batch that has to come first.
    after: Option<u64>,
}

/// Messages behind each other with the same fields.
#[derive(Debug)]
struct Group {
    shape: Shape,
    names: String,
    count: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    lane: Lane,
    /// Whether it is appended to its stream, whatever else is there.
    is_plain: bool,
    version: u32,
    /// Options, traceparent; subject.
    optional: [bool; 2],
}

impl Client {
    /// An empty batch with this number. Numbers of an outbox and a target begin at 1, and a batch must be written down with its
    /// number before it is sent, so that no other messages ever go by that number.
    pub fn outbox_batch(&self, outbox: &str, target: &Target, number: u64) -> OutboxBatch {
        let script = match target {
            Target::Queue(_) => &*JOBS,
            Target::Topic(_) => &*EVENTS,
        };
        let mut call = redis::cmd("EVALSHA");
        call.arg(script.get_hash());
        match target {
            Target::Queue(queue) => {
                let keys = self.keys(queue);
                call.arg(6).arg(keys.outbox()).arg(keys.later()).arg(keys.later_jobs());
                for lane in [Lane::High, Lane::Normal, Lane::Low] {
                    call.arg(keys.ready(lane));
                }
                call.arg(outbox).arg(number).arg(keys.signal()).arg(keys.prefix());
            }
            Target::Topic(topic) => {
                call.arg(2).arg(keys::event_outbox(self.namespace(), topic));
                call.arg(keys::event_log(self.namespace(), topic)).arg(outbox).arg(number);
            }
        }
        OutboxBatch { client: self.clone(), target: target.clone(), script, call, groups: Vec::new(), after: None }
    }
}

impl OutboxBatch {
    /// Room for so many messages with so many bytes of payload, of a batch that is empty.
    pub fn with_room(mut self, messages: usize, bytes: usize) -> Self {
        let mut call = Cmd::with_capacity(ARGUMENTS + 4 * messages, bytes + BESIDE_PAYLOAD * (messages + 1));
        for argument in self.call.args_iter() {
            if let redis::Arg::Simple(argument) = argument {
                call.arg(argument);
            }
        }
        self.call = call;
        self
    }

    /// Adds a message of the batch's target, checked like a push or a publish. What was taken in a transaction is not refused
    /// for its size here, unless it is larger than the default [`PAYLOAD_LIMIT`] too.
    ///
    /// # Errors
    /// What is wrong with it and what would be right; it is not added then.
    pub fn push(&mut self, message: MessageRef<'_>) -> Result<(), String> {
        message.check(&self.target, self.client.payload_limit().max(PAYLOAD_LIMIT))?;
        match self.target {
            Target::Queue(_) => self.push_job(message),
            Target::Topic(_) => {
                self.push_event(message);
                Ok(())
            }
        }
    }

    /// Sent behind the batch `number` before that has answered, it does nothing unless that has arrived with all its messages.
    pub fn after(mut self, number: u64) -> Self {
        self.after = Some(number);
        self
    }

    /// The call with all its arguments, and the script that it calls.
    pub(super) fn into_call(mut self) -> (Cmd, &'static Script) {
        for Group { shape, names, count } in &self.groups {
            self.call.arg(shape.lane.index()).arg(names).arg(*count);
        }
        self.call.arg(self.groups.len());
        match self.after {
            Some(number) => self.call.arg(number),
            None => self.call.arg(""),
        };
        (self.call, self.script)
    }

    fn push_job(&mut self, message: MessageRef<'_>) -> Result<(), String> {
        let options = message.options;
        let entry = self.entry(&message);
        let unique = options.opt.as_ref().and_then(|opt| opt.unique.as_ref());
        let shape = Shape {
            lane: lane(options),
            is_plain: options.when() == When::Now && options.key.is_none() && unique.is_none(),
            version: entry.version,
            optional: [entry.options.is_some(), entry.traceparent.is_some()],
        };
        if shape.is_plain {
            self.join(shape, |names| entry.each_field(true, |name, _| names.push(name)));
            let call = &mut self.call;
            entry.each_field(true, |_, value| {
                call.arg(value);
            });
            return Ok(());
        }
        let (when, ms) = options.when().argument().map_err(|error| error.to_string())?;
        self.join(shape, |_| ());
        let window_ms = self.client.dedup_window().as_millis() as i64;
        let packed = Stored { lane: shape.lane, entry: &entry, error: None }.pack();
        self.call.arg(entry.id.to_string()).arg(when).arg(ms).arg(packed);
        self.call.arg(if options.key.is_some() { window_ms } else { 0 });
        self.call.arg(Utc::now().timestamp_millis() / window_ms);
        match unique {
            Some(UniqueKey { key, until, .. }) => {
                let (until, conflict): (Until, Conflict) = (*until, options.conflict.unwrap_or_default());
                self.call.arg(key).arg(options.unique_ms.unwrap_or(1).max(1));
                self.call.arg(format!("{} {}", until.as_str(), conflict.as_str()));
            }
            None => drop(self.call.arg("").arg(0).arg("")),
        }
        Ok(())
    }

    fn push_event(&mut self, message: MessageRef<'_>) {
        let options = message.options;
        let event = Outgoing {
            id: message.id,
            source: self.client.source(),
            subject: options.subject.as_deref(),
            time: message.created_at,
            name: self.name(),
            version: options.v.unwrap_or(1),
            data: message.body.as_bytes(),
        };
        let (fields, version) = (event.fields(), event.version);
        let optional = [options.subject.is_some(), false];
        let shape = Shape { lane: Lane::Normal, is_plain: true, version, optional };
        self.join(shape, |names| names.extend(fields.iter().map(|(name, _)| *name)));
        for (_, value) in &fields {
            self.call.arg(value);
        }
    }

    /// One more of the last group, or the first of another one, whose fields `name` lists.
    fn join(&mut self, shape: Shape, name: impl FnOnce(&mut Vec<&'static str>)) {
        match self.groups.last_mut() {
            Some(group) if group.shape == shape => group.count += 1,
            _ => {
                let mut names = Vec::new();
                name(&mut names);
                self.groups.push(Group { shape, names: names.join(" "), count: 1 });
            }
        }
    }

    fn name(&self) -> &str {
        match &self.target {
            Target::Queue(name) | Target::Topic(name) => name,
        }
    }

    fn entry(&self, message: &MessageRef<'_>) -> Entry {
        let options = message.options;
        let id: Uuid = match &options.key {
            Some(key) => id::keyed(self.client.namespace(), self.name(), key),
            None => message.id,
        };
        Entry {
            version: options.v.unwrap_or(1),
            options: options.opt.as_ref().and_then(Options::to_field),
            traceparent: options.tp.clone(),
            ..Entry::new(message.kind, message.body, id, message.created_at.timestamp_millis())
        }
    }
}

fn lane(options: &MessageOptions) -> Lane {
    match options.lane.as_deref() {
        Some("high") => Lane::High,
        Some("low") => Lane::Low,
        _ => Lane::Normal,
    }
}
