//! The chains of a write, which end in `.await`.

use std::{future::IntoFuture, panic::Location, pin::Pin, time::Duration};

use chrono::TimeDelta;

use super::{
    name,
    write::{Expects, Write, apply},
};
use crate::{Data, Error, Time, data::work, fit};

type Done<'d, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'd>>;

/// A value on its way; `.await` writes it and gives its version.
///
/// # Errors
/// [`Error::State`] before the database is asked, [`Error::StateConflict`], [`Error::Fenced`], [`Error::Query`].
#[derive(Debug)]
#[must_use = "nothing is written until awaited"]
pub struct Put<'d, D>(Order<'d, D>);

/// A deletion on its way; `.await` makes it and tells whether there was a value.
///
/// # Errors
/// Those of [`Put`].
#[derive(Debug)]
#[must_use = "nothing is deleted until awaited"]
pub struct Delete<'d, D>(Order<'d, D>);

#[derive(Debug)]
struct Order<'d, D> {
    data: &'d D,
    write: Result<Write, Error>,
    place: &'static Location<'static>,
}

impl<'d, D> Order<'d, D> {
    fn with(mut self, change: impl FnOnce(&mut Write)) -> Self {
        if let Ok(write) = &mut self.write {
            change(write);
        }
        self
    }

    fn fence(mut self, resource: &str, token: u64) -> Self {
        match (&mut self.write, name("resource", resource)) {
            (Ok(write), Ok(resource)) => write.fence = Some((resource, token)),
            (Ok(_), Err(error)) => self.write = Err(error),
            (Err(_), _) => {}
        }
        self
    }

    fn run(self) -> Done<'d, Option<i64>>
    where
        D: Data,
    {
        let Self { data, write, place } = self;
        Box::pin(async move {
            let write = write?;
            data.run(true, place, work(move |conn| Box::pin(async move { apply(conn, &write).await }))).await
        })
    }
}

impl<'d, D> Put<'d, D> {
    pub(super) fn new(data: &'d D, write: Result<Write, Error>, place: &'static Location<'static>) -> Self {
        Self(Order { data, write, place })
    }

    /// Only if the value is still at this version.
    pub fn version(self, version: i64) -> Self {
        Self(self.0.with(|write| write.expects = Expects::Version(version)))
    }

    /// Only if there is no value.
    pub fn create(self) -> Self {
        Self(self.0.with(|write| write.expects = Expects::Absent))
    }

    /// From then on it reads as absent. By the writer's clock; default: never.
    pub fn expires_in(self, time: Duration) -> Self {
        let end = TimeDelta::from_std(time).ok().and_then(|time| Time::now().0.checked_add_signed(time));
        self.expires_at(end.map_or(Time(fit::micros(i64::MAX)), Time))
    }

    /// From then on it reads as absent. Default: never.
    pub fn expires_at(self, time: Time) -> Self {
        Self(self.0.with(|write| write.expires_at = Some(Time(fit::time(time.0)))))
    }

    /// Only if no newer fencing token was seen for `resource`; this one is kept as seen.
    pub fn fence(self, resource: &str, token: u64) -> Self {
        Self(self.0.fence(resource, token))
    }

    /// Keeps the newest `count` versions of this key; see [`State::keep_versions`](super::State::keep_versions).
    pub fn keep_versions(self, count: u32) -> Self {
        Self(self.0.with(|write| write.keep = count))
    }
}

impl<'d, D> Delete<'d, D> {
    pub(super) fn new(data: &'d D, write: Result<Write, Error>, place: &'static Location<'static>) -> Self {
        Self(Order { data, write, place })
    }

    /// Only if the value is still at this version.
    pub fn version(self, version: i64) -> Self {
        Self(self.0.with(|write| write.expects = Expects::Version(version)))
    }

    /// Only if no newer fencing token was seen for `resource`; this one is kept as seen.
    pub fn fence(self, resource: &str, token: u64) -> Self {
        Self(self.0.fence(resource, token))
    }

    /// Keeps the newest `count` versions of this key, the deletion as one of them.
    pub fn keep_versions(self, count: u32) -> Self {
        Self(self.0.with(|write| write.keep = count))
    }
}

impl<'d, D: Data> IntoFuture for Put<'d, D> {
    type Output = Result<i64, Error>;
    type IntoFuture = Done<'d, i64>;

    fn into_future(self) -> Self::IntoFuture {
        let done = self.0.run();
        Box::pin(async move { Ok(done.await?.expect("only a deletion finds nothing to do")) })
    }
}

impl<'d, D: Data> IntoFuture for Delete<'d, D> {
    type Output = Result<bool, Error>;
    type IntoFuture = Done<'d, bool>;

    fn into_future(self) -> Self::IntoFuture {
        let done = self.0.run();
        Box::pin(async move { Ok(done.await?.is_some()) })
    }
}
