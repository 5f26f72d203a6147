//! Handing entries back to their lanes, with no attempt and no crash counted.

use millstream_queue::{Client, Error, Lane, keys::WORKERS};

use super::{
    epoch::Epoch,
    hands::Place,
    lease::Lease,
    scripts::{self, Requeue},
};

/// Entries per script.
const MOST: usize = 100;

/// Puts entries back into their lanes, where they are still pending for this consumer.
pub(super) async fn give_back<S>(epoch: &Epoch<S>, places: &[Place]) -> Result<(), Error> {
    for lane in Lane::ALL {
        let entries: Vec<String> =
            places.iter().filter(|place| place.lane == lane).map(|place| place.position.to_string()).collect();
        for some in entries.chunks(MOST) {
            requeue(&epoch.process.client, &epoch.lease, lane, some).await?;
        }
    }
    Ok(())
}

/// Puts back whatever is pending for a consumer that leaves: what a lost reply delivered unseen, and what no finish has
/// confirmed. Others would take it for the work of a process that died.
pub(super) async fn give_back_all(client: &Client, lease: &Lease) -> Result<(), Error> {
    for lane in Lane::ALL {
        loop {
            let mut look = redis::cmd("XPENDING");
            look.arg(lease.keys().ready(lane)).arg(WORKERS).arg("-").arg("+").arg(MOST).arg(lease.consumer());
            let pending: Vec<(String, String, u64, u64)> = look.query_async(&mut client.connection().await?).await?;
            if pending.is_empty() {
                break;
            }
            let entries: Vec<String> = pending.into_iter().map(|(entry, ..)| entry).collect();
            requeue(client, lease, lane, &entries).await?;
        }
    }
    Ok(())
}

async fn requeue(client: &Client, lease: &Lease, lane: Lane, entries: &[String]) -> Result<i64, Error> {
    let mut conn = client.connection().await?;
    Ok(scripts::requeue(lease.keys(), lease.consumer(), lane, Requeue::Back, entries).invoke_async(&mut conn).await?)
}
