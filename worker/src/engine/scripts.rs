//! The scripts of the worker, one file per transition.

use std::sync::LazyLock;

use millstream_queue::{
    Lane,
    keys::{QueueKeys, WORKERS},
    scripts,
};
use redis::{Script, ScriptInvocation};
use uuid::Uuid;

use crate::reports::REPORTS_KEPT;

macro_rules! script {
    ($name:ident, $make:expr, $file:literal) => {
        static $name: LazyLock<Script> = LazyLock::new(|| $make(include_str!(concat!("../lua/", $file))));
    };
}

script!(REGISTER, Script::new, "register.lua");
script!(BEAT, Script::new, "beat.lua");
script!(FINISH, scripts::with_jobs, "finish.lua");
script!(PROMOTE, scripts::with_jobs, "promote.lua");
script!(REQUEUE, scripts::with_jobs, "requeue.lua");
script!(RELEASE, scripts::with_jobs, "release.lua");
script!(REPORT, Script::new, "report.lua");
script!(FORGET, Script::new, "forget.lua");
script!(LEAVE, Script::new, "leave.lua");

pub(super) fn register(keys: &QueueKeys, consumer: &str) -> ScriptInvocation<'static> {
    let mut call = REGISTER.key(keys.alive());
    call.key(keys.books());
    add_lanes(&mut call, keys).arg(consumer).arg(WORKERS);
    call
}

/// Makes the groups of lanes that were deleted.
pub(super) fn regroup(keys: &QueueKeys) -> ScriptInvocation<'static> {
    register(keys, "")
}

/// `stood_still`: consumers to fence, each with the counter at which it stands.
pub(super) fn beat(keys: &QueueKeys, consumer: &str, stood_still: &[(String, String)]) -> ScriptInvocation<'static> {
    let mut call = BEAT.key(keys.alive());
    add_lanes(&mut call, keys).arg(consumer).arg(WORKERS);
    for (consumer, counter) in stood_still {
        call.arg(consumer).arg(counter);
    }
    call
}

/// The keys of a finish; its arguments are the batch's.
pub(super) fn finish(keys: &QueueKeys) -> ScriptInvocation<'static> {
    let mut call = FINISH.key(keys.alive());
    call.key(keys.control()).key(keys.done()).key(keys.later()).key(keys.later_jobs());
    call.key(keys.dead()).key(keys.dead_jobs()).key(keys.cancel());
    add_lanes(&mut call, keys);
    call
}

pub(super) fn promote(keys: &QueueKeys, most: usize) -> ScriptInvocation<'static> {
    let mut call = PROMOTE.key(keys.later());
    call.key(keys.later_jobs()).key(keys.control()).key(keys.done());
    call.key(keys.dead()).key(keys.dead_jobs()).key(keys.cancel());
    add_lanes(&mut call, keys).arg(most).arg(keys.prefix());
    call
}

/// Frees the unique key of a job, if the job holds it.
pub(super) fn release(keys: &QueueKeys, key: &str, job: Uuid) -> ScriptInvocation<'static> {
    let mut call = RELEASE.key(keys.unique(key));
    call.arg(job.to_string());
    call
}

/// Whose entries come back, and whether a crash is counted for each.
#[derive(Clone, Copy, Debug)]
pub(super) enum Requeue {
    /// Their consumer died.
    Crashed,
    /// Their consumer hands them back.
    Back,
}

pub(super) fn requeue(
    keys: &QueueKeys,
    consumer: &str,
    lane: Lane,
    reason: Requeue,
    entries: &[String],
) -> ScriptInvocation<'static> {
    let mut call = REQUEUE.key(keys.alive());
    call.key(keys.control()).key(keys.done()).key(keys.dead()).key(keys.dead_jobs()).key(keys.cancel());
    add_lanes(&mut call, keys).arg(consumer).arg(WORKERS).arg(lane.index());
    call.arg(match reason {
        Requeue::Crashed => "crashed",
        Requeue::Back => "back",
    });
    call.arg(keys.prefix());
    for entry in entries {
        call.arg(entry);
    }
    call
}

/// Reports one field of a job's hash.
pub(crate) fn report(
    keys: &QueueKeys,
    consumer: &str,
    id: Uuid,
    run: u32,
    field: &str,
    value: &[u8],
) -> ScriptInvocation<'static> {
    let mut call = REPORT.key(keys.alive());
    call.key(keys.job(id)).arg(consumer).arg(run).arg(REPORTS_KEPT.as_millis() as u64).arg(field).arg(value);
    call
}

pub(super) fn forget(keys: &QueueKeys, consumer: &str) -> ScriptInvocation<'static> {
    let mut call = FORGET.key(keys.alive());
    add_lanes(&mut call, keys).arg(consumer).arg(WORKERS);
    call
}

pub(super) fn leave(keys: &QueueKeys, consumer: &str) -> ScriptInvocation<'static> {
    let mut call = LEAVE.key(keys.alive());
    call.arg(consumer);
    call
}

fn add_lanes<'a>(call: &'a mut ScriptInvocation<'static>, keys: &QueueKeys) -> &'a mut ScriptInvocation<'static> {
    for lane in Lane::ALL {
        call.key(keys.ready(lane));
    }
    call
}
