//! The scripts of the worker, one file per transition.

use std::sync::LazyLock;

use millstream_queue::{
    Lane,
    keys::{QueueKeys, WORKERS},
};
use redis::{Script, ScriptInvocation};

macro_rules! script {
    ($name:ident, $file:literal) => {
        static $name: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!(concat!("../lua/", $file))));
    };
}

script!(REGISTER, "register.lua");
script!(BEAT, "beat.lua");
script!(FINISH, "finish.lua");
script!(PROMOTE, "promote.lua");
script!(REQUEUE, "requeue.lua");
script!(FORGET, "forget.lua");
script!(LEAVE, "leave.lua");

pub(super) fn register(keys: &QueueKeys, consumer: &str) -> ScriptInvocation<'static> {
    let mut call = REGISTER.key(keys.alive());
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
    call.key(keys.dead()).key(keys.dead_jobs());
    add_lanes(&mut call, keys);
    call
}

pub(super) fn promote(keys: &QueueKeys, most: usize) -> ScriptInvocation<'static> {
    let mut call = PROMOTE.key(keys.later());
    call.key(keys.later_jobs()).key(keys.control());
    add_lanes(&mut call, keys).arg(most);
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
    call.key(keys.control()).key(keys.done()).key(keys.dead()).key(keys.dead_jobs());
    add_lanes(&mut call, keys).arg(consumer).arg(WORKERS).arg(lane.index());
    call.arg(match reason {
        Requeue::Crashed => "crashed",
        Requeue::Back => "back",
    });
    for entry in entries {
        call.arg(entry);
    }
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
