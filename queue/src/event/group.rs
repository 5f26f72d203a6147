//! A topic's durable group: made by who consumes first, left by members in the orderly way, swept of those who could not.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use redis::{Script, Value, from_redis_value};

use super::Position;
use crate::{Client, Error};

static LEAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../lua/leave_group.lua")));

/// A living member reads or renews every few seconds; one that did neither for so long, and holds nothing, is gone. Were
/// it alive after all, its next read would enter it anew.
const GONE_MS: u64 = 60_000;

pub(super) struct Group {
    pub(super) client: Client,
    pub(super) log: String,
    pub(super) name: String,
}

impl Group {
    /// Makes the group, to begin behind `from`, unless it is there.
    pub(super) async fn create(&self, from: Position) -> Result<(), Error> {
        let mut conn = self.client.connection().await?;
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(&self.log).arg(&self.name).arg(from.to_string()).arg("MKSTREAM");
        match create.exec_async(&mut conn).await {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Ends a membership: what it holds goes to others at once, and then it is removed, here or by a later
    /// [`sweep`](Group::sweep).
    pub(super) async fn leave(&self, member: &str, redeliver_after: Duration) -> Result<(), Error> {
        let mut conn = self.client.connection().await?;
        let mut call = LEAVE.key(&self.log);
        call.arg(&self.name).arg(member).arg(redeliver_after.as_millis() as u64);
        call.invoke_async::<()>(&mut conn).await?;
        Ok(())
    }

    /// Removes members whose processes ended without leaving, once they hold nothing.
    pub(super) async fn sweep(&self, redeliver_after: Duration) -> Result<(), Error> {
        let mut conn = self.client.connection().await?;
        let mut list = redis::cmd("XINFO");
        list.arg("CONSUMERS").arg(&self.log).arg(&self.name);
        let members: Vec<HashMap<String, Value>> = list.query_async(&mut conn).await?;
        for member in members {
            let number = |field: &str| match member.get(field) {
                Some(Value::Int(number)) => u64::try_from(*number).unwrap_or(0),
                _ => 0,
            };
            if number("pending") == 0
                && number("idle") > GONE_MS
                && let Some(name) = member.get("name")
            {
                let name: String = from_redis_value(name.clone()).map_err(redis::RedisError::from)?;
                self.leave(&name, redeliver_after).await?;
            }
        }
        Ok(())
    }
}
