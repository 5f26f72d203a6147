//! Running one job: from an entry in hand to what the finisher needs.

use std::{pin::pin, sync::Arc, time::Duration};

use millstream_queue::{
    Entry, History, Lane, MalformedEntry, Options, Outcome, Progress, State, Stored, UniqueKey, Until, pack_fields,
};
use redis::Value;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::{
    batch::{Finished, Step},
    decide::{Decision, Ending, Limits, Next, decide},
    epoch::Epoch,
    fetch::Taken,
    hands::Place,
    scripts,
    times::{Longest, Times},
};
use crate::{
    Call, Context,
    clock::now_us,
    events,
    handler::{Handler, Policy},
    layers,
    reports::{ENDED_REPORTS_KEPT, REPORTS_KEPT, Reporting, Reports, Said},
};

/// How long a cancelled handler may go on to tidy up, before it is dropped.
const WIND_UP: Duration = Duration::from_secs(1);

// Every job's task has the size of the largest of these futures and is moved when it is spawned: what few jobs come to is
// boxed.

/// Runs what was read; none when it no longer concerns this consumer.
pub(super) async fn execute<S: Send + Sync + 'static>(epoch: &Arc<Epoch<S>>, taken: Taken) -> Option<Finished> {
    match taken.job {
        Ok(entry) => run_job(epoch, taken.place, entry, taken.cancel).await,
        Err(malformed) => Box::pin(bury(epoch, taken.place, &malformed)).await,
    }
}

async fn run_job<S: Send + Sync + 'static>(
    epoch: &Arc<Epoch<S>>,
    place: Place,
    entry: Arc<Entry>,
    cancel: CancellationToken,
) -> Option<Finished> {
    let started_us = now_us();
    let handler = epoch.process.handlers.find(&entry, epoch.lease.queue());
    let options = Options::parse(entry.options.as_deref());
    let policy = handler.map(|handler| &handler.policy);
    let times = Times::of(&entry, &options, policy);
    let reports = Arc::new(Reports::default());
    let mut has_started = false;
    let ending = match handler {
        _ if cancel.is_cancelled() => Ending::Cancelled,
        _ if times.have_expired(started_us / 1000) => Ending::Expired,
        _ if times.are_over(started_us / 1000) => Ending::TooLate,
        Some(handler) => {
            has_started = true;
            if let Some(unique) = &options.unique
                && unique.until == Until::Started
            {
                Box::pin(release(epoch, unique, &entry)).await;
            }
            let timeout = times.longest(started_us / 1000);
            attempt(epoch, handler, place, &entry, timeout, cancel, &reports).await?
        }
        None => Ending::Parked,
    };
    let finished_us = now_us();
    let limits = limits(policy, &options, times.deadline_ms);
    let decision = decide(&entry, &ending, limits, fastrand::f64(), finished_us / 1000);
    report(epoch.lease.queue(), handler.map(|handler| handler.kind), &entry, &decision);
    // Nothing else holds it now, unless a layer kept its call.
    let entry = Arc::unwrap_or_clone(entry);
    let (said, started_us) = (reports.take(), has_started.then_some(started_us));
    let run = Run { place, entry, options, said, decision, started_us, finished_us };
    Some(run.finished(epoch.lease.consumer(), policy, ending))
}

/// The handler inside its layers; none when the consumer was fenced meanwhile.
async fn attempt<S: Send + Sync + 'static>(
    epoch: &Arc<Epoch<S>>,
    handler: &Handler<S>,
    place: Place,
    entry: &Arc<Entry>,
    timeout: Longest,
    cancel: CancellationToken,
    reports: &Arc<Reports>,
) -> Option<Ending> {
    let process = &epoch.process;
    let _reporting = Reporting::of(reports);
    let (app, client, lease) = (process.app.clone(), process.client.clone(), epoch.lease.clone());
    let cx = Context::new(app, client, lease, reports.clone(), entry, timeout, cancel.clone());
    let call = Call::new(cx, entry.clone(), place.lane, place.position.ms(), handler.route.clone());
    let mut running = pin!(layers::outermost(process.layered.clone()).call(call)); // these are always ready
    tokio::select! {
        biased;
        ended = &mut running => Some(match ended {
            // It may have ended because it heard of it: however it ends, it was called off.
            _ if cancel.is_cancelled() => Ending::Cancelled,
            Ok(returned) => Ending::Completed(returned.into_json()),
            Err(failure) => Ending::Failed(failure),
        }),
        () = epoch.lease.fenced() => None,
        () = epoch.cut_off.cancelled() => Some(Ending::Interrupted),
        () = cancel.cancelled() => {
            let _ = tokio::time::timeout(WIND_UP, running).await;
            (!epoch.lease.is_fenced()).then_some(Ending::Cancelled)
        }
    }
}

/// Frees a unique key that is held until the start. Where that fails, the end of the job frees it.
async fn release<S>(epoch: &Epoch<S>, unique: &UniqueKey, entry: &Entry) {
    let release = async {
        let mut conn = epoch.process.client.connection().await?;
        let call = scripts::release(epoch.lease.keys(), &unique.key, entry.id);
        Ok::<i64, millstream_queue::Error>(call.invoke_async(&mut conn).await?)
    };
    if let Err(error) = release.await {
        let (queue, id) = (epoch.lease.queue(), entry.id.to_string());
        events::job_key_kept(queue, &entry.kind, &id, &error.to_string());
    }
}

fn limits(policy: Option<&Policy>, options: &Options, deadline_ms: Option<i64>) -> Limits {
    let backoff = options.backoff.or(policy.map(|policy| policy.backoff)).unwrap_or_default();
    let chosen_backoff = policy.map(|policy| policy.chosen_backoff).filter(|_| options.backoff.is_none());
    let attempts = options.attempts.or(policy.map(|policy| policy.attempts)).unwrap_or(1);
    Limits { attempts: attempts.max(1), backoff, chosen_backoff, deadline_ms }
}

/// `kind`: that of a handler, so that there are not more of them than handlers.
fn report(queue: &str, kind: Option<&str>, entry: &Entry, decision: &Decision) {
    events::job_finished(queue, kind.unwrap_or("unknown"), decision.state.as_str());
    let Some(error) = &decision.error else { return };
    let (kind, id, attempt) = (&entry.kind, entry.id.to_string(), entry.attempt);
    if decision.state == State::Dead {
        events::job_dead(queue, kind, &id, attempt, error);
    } else {
        events::job_incomplete(queue, kind, &id, attempt, decision.state.as_str(), error);
    }
}

/// A run that has ended.
struct Run {
    place: Place,
    entry: Entry,
    options: Options,
    said: Said,
    decision: Decision,
    started_us: Option<i64>,
    finished_us: i64,
}

impl Run {
    fn finished(mut self, consumer: &str, policy: Option<&Policy>, ending: Ending) -> Finished {
        let step = self.step();
        let report = self.report(&ending);
        let mut packed = Vec::new();
        let history = policy.map_or(History::All, |policy| policy.history);
        let is_kept = match history {
            History::All | History::Facts => true,
            History::Failures => self.decision.state != State::Completed,
            History::Nothing => false,
        };
        if is_kept {
            packed.reserve(200 + self.entry.body.len());
            self.outcome(consumer, history != History::Facts, ending).pack_into(&mut packed);
        }
        Finished { place: self.place, job: self.entry.id, outcome: packed, step, report, _alone: None }
    }

    /// The move that the job makes, as its next run will read it.
    fn step(&mut self) -> Option<Step> {
        if self.decision.next == Next::Gone {
            let state = self.decision.state;
            let unique = self.options.unique.take();
            let freed = unique.filter(|unique| state != State::Completed || unique.until != Until::Time);
            let is_needed = freed.is_some() || state == State::Cancelled;
            return is_needed.then(|| Step::over(freed.map(|unique| unique.key)));
        }
        let before = (self.entry.attempt, self.entry.run);
        let is_dead = self.decision.next == Next::Dead;
        if !is_dead {
            self.entry.attempt = self.decision.next_attempt;
            self.entry.run = self.entry.run.saturating_add(1);
        }
        let error = if is_dead { self.decision.error.as_deref() } else { None };
        let packed = Stored { lane: self.place.lane, entry: &self.entry, error }.pack();
        (self.entry.attempt, self.entry.run) = before;
        Some(match self.decision.next {
            Next::Later(delay) => Step::later(delay, packed),
            Next::Dead => Step::dead(packed),
            Next::Ready | Next::Gone => Step::ready(self.place.lane, packed),
        })
    }

    /// What becomes of the job's hash: how the job ended, for those who wait, or that another run will report. An earlier run
    /// may have left a hash that this one did not touch.
    fn report(&self, ending: &Ending) -> Option<Step> {
        let kept_result = self.options.result_ms.map(Duration::from_millis);
        let has_ended = self.decision.state.is_terminal();
        if !self.said.has_hash && !(has_ended && (kept_result.is_some() || self.entry.run > 1)) {
            return None;
        }
        let (state, run) = (self.decision.state.as_str(), self.entry.run.saturating_add(1).to_string());
        let progress = self.said.progress.as_ref().map(Progress::to_json);
        let mut fields: Vec<(&str, &[u8])> = Vec::new();
        if has_ended {
            fields.push(("state", state.as_bytes()));
            if let Ending::Completed(Some(result)) = ending
                && kept_result.is_some()
            {
                fields.push(("result", result));
            }
            fields.extend(self.decision.error.as_deref().map(|error| ("error", error.as_bytes())));
        } else {
            fields.push(("run", run.as_bytes()));
        }
        fields.extend(progress.as_deref().map(|json| ("progress", json.as_bytes())));
        let packed = pack_fields(&fields);
        Some(match kept_result {
            Some(kept) if has_ended => Step::result(kept, packed),
            None if has_ended => Step::report(ENDED_REPORTS_KEPT, packed),
            _ => Step::report(REPORTS_KEPT.saturating_add(self.decision.next.delay()), packed),
        })
    }

    fn outcome(&mut self, consumer: &str, with_payload: bool, ending: Ending) -> Outcome {
        let next_ms = match self.decision.next {
            Next::Later(delay) => {
                Some((self.finished_us / 1000).saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)))
            }
            _ => None,
        };
        let result = if let Ending::Completed(result) = ending { result } else { None };
        let ready_ms = i64::try_from(self.place.position.ms()).ok().filter(|ready| *ready != self.entry.at_ms);
        Outcome {
            id: self.entry.id,
            kind: std::mem::take(&mut self.entry.kind),
            lane: self.place.lane,
            version: self.entry.version,
            run: self.entry.run,
            attempt: self.entry.attempt,
            crash: self.entry.crash,
            state: self.decision.state,
            enqueued_ms: self.entry.at_ms,
            started_us: self.started_us,
            finished_us: self.finished_us,
            worker: consumer.to_owned(),
            error: self.decision.error.take(),
            payload: with_payload.then(|| std::mem::take(&mut self.entry.body)),
            content_type: self.entry.content_type.take(),
            result: if with_payload { result } else { None },
            next_ms,
            tags: std::mem::take(&mut self.options.tags),
            traceparent: self.entry.traceparent.take(),
            log: std::mem::take(&mut self.said.log).into_text(),
            progress: self.said.progress.take(),
            of: self.options.of,
            ready_ms,
        }
    }
}

/// An entry that is no job goes to the dead letters with its raw fields.
async fn bury<S>(epoch: &Arc<Epoch<S>>, place: Place, malformed: &MalformedEntry) -> Option<Finished> {
    let lane_key = epoch.lease.keys().ready(place.lane);
    let raw = loop {
        match read_raw(epoch, &lane_key, place).await {
            Ok(raw) => break raw,
            Err(_) if epoch.lease.is_fenced() => return None,
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await, // logged by the loops that fetch
        }
    };
    let error = malformed.to_string();
    let id = millstream_queue::derived_id(&lane_key, &place.position.to_string());
    events::job_malformed(epoch.lease.queue(), &id.to_string(), &place.position.to_string(), &error);
    let mut outcome = Vec::new();
    let now = now_us();
    Outcome {
        id,
        kind: "malformed".to_owned(),
        lane: place.lane,
        version: 1,
        run: 1,
        attempt: 1,
        crash: 0,
        state: State::Dead,
        enqueued_ms: now / 1000,
        started_us: None,
        finished_us: now,
        worker: epoch.lease.consumer().to_owned(),
        error: Some(error.clone()),
        payload: None,
        content_type: None,
        result: None,
        next_ms: None,
        tags: Vec::new(),
        traceparent: None,
        log: None,
        progress: None,
        of: None,
        ready_ms: None,
    }
    .pack_into(&mut outcome);
    let step = Some(Step::dead(Stored::pack_malformed(place.lane, &raw, &error)));
    Some(Finished { place, job: id, outcome, step, report: None, _alone: None })
}

async fn read_raw<S>(epoch: &Epoch<S>, lane_key: &str, place: Place) -> Result<Vec<Value>, millstream_queue::Error> {
    let mut conn = epoch.process.client.connection().await?;
    let id = place.position.to_string();
    let entries: Vec<(String, Vec<Value>)> =
        redis::cmd("XRANGE").arg(lane_key).arg(&id).arg(&id).query_async(&mut conn).await?;
    Ok(entries.into_iter().next().map(|(_, fields)| fields).unwrap_or_default())
}

/// The lane of suspects: its jobs run alone in their process.
pub(super) fn is_suspect(taken: &Taken) -> bool {
    taken.place.lane == Lane::Suspect
}
