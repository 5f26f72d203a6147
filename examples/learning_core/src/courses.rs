use std::collections::BTreeSet;

use millstream_store::{Data, Id, List, Op, Time};
use serde::{Deserialize, Serialize};

use crate::{Course, Error, Learning, Lesson, error::text};

/// Lessons of a course at most.
const MOST_LESSONS: usize = 500;
/// The longest lesson: a day.
const LONGEST: i64 = 24 * 3600;

/// A course to be made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCourse {
    /// 1 to 200 characters.
    pub title: String,
    /// At most 500, in their order. Default: none.
    #[serde(default)]
    pub lessons: Vec<NewLesson>,
}

/// A lesson to be made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLesson {
    /// 1 to 200 characters.
    pub title: String,
    /// How long it takes, from a second to a day.
    pub seconds: i64,
}

/// A change of a course.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CourseChange {
    /// The version that is changed.
    pub version: i64,
    /// The new title.
    pub title: String,
}

/// A course with its lessons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CourseView {
    /// The course.
    #[serde(flatten)]
    pub course: Course,
    /// Its lessons in their order.
    pub lessons: Vec<Lesson>,
}

impl Learning {
    /// Makes a course with its lessons.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub async fn create_course(&self, new: NewCourse) -> Result<CourseView, Error> {
        let title = text("title", &new.title, 200)?;
        let course =
            Course { id: Id::new(), version: 0, title, created_at: Time::default(), updated_at: Time::default() };
        if new.lessons.len() > MOST_LESSONS {
            return Err(Error::invalid("lessons", format!("at most {MOST_LESSONS}")));
        }
        let lessons = (0..).zip(new.lessons).map(|(place, lesson)| lesson.of(course.id, place));
        let lessons = lessons.collect::<Result<Vec<_>, _>>()?;
        let kept = self.store.transaction(async move |tx| {
            let course = tx.insert(&course).await?;
            tx.insert_many(lessons.clone()).await?;
            Ok::<_, Error>(CourseView { course, lessons: lessons.clone() })
        });
        kept.await
    }

    /// Adds a lesson at the end. Who completed the course before stays someone who did.
    ///
    /// # Errors
    /// [`Error::NoSuch`], [`Error::Invalid`].
    pub async fn add_lesson(&self, course: Id, new: NewLesson) -> Result<Lesson, Error> {
        let added = self.store.transaction(async move |tx| {
            let found = tx.get::<Course>(course).await?.ok_or(Error::NoSuch { what: "course", id: course })?;
            let before = lessons(&tx, course).await?.len();
            if before == MOST_LESSONS {
                return Err(Error::invalid("lessons", format!("at most {MOST_LESSONS}")));
            }
            let lesson = new.clone().of(course, before as i64)?;
            // Of two that add one at once, the version lets one through.
            tx.update(&found).await?;
            Ok(tx.insert(&lesson).await?)
        });
        added.await
    }

    /// A course with its lessons.
    ///
    /// # Errors
    /// [`Error::NoSuch`].
    pub async fn course(&self, id: Id) -> Result<CourseView, Error> {
        let course = self.store.get::<Course>(id).await?.ok_or(Error::NoSuch { what: "course", id })?;
        Ok(CourseView { course, lessons: lessons(&self.store, id).await? })
    }

    /// Gives a course another title.
    ///
    /// # Errors
    /// [`Error::NoSuch`], [`Error::Invalid`]; [`millstream_store::Error::Conflict`] if someone else changed it since.
    pub async fn change_course(&self, id: Id, change: CourseChange) -> Result<Course, Error> {
        let title = text("title", &change.title, 200)?;
        let course = self.store.get::<Course>(id).await?.ok_or(Error::NoSuch { what: "course", id })?;
        Ok(self.store.update(&Course { version: change.version, title, ..course }).await?)
    }
}

impl NewLesson {
    fn of(self, course_id: Id, place: i64) -> Result<Lesson, Error> {
        if !(1..=LONGEST).contains(&self.seconds) {
            return Err(Error::invalid("seconds", format!("1 to {LONGEST}")));
        }
        let title = text("title", &self.title, 200)?;
        Ok(Lesson { id: Id::new(), course_id, place, title, seconds: self.seconds })
    }
}

/// All lessons of a course in their order.
pub(crate) async fn lessons(data: &impl Data, course: Id) -> Result<Vec<Lesson>, Error> {
    let list = List::new().filter("course_id", Op::Eq, course).sort("place").limit(MOST_LESSONS as u32);
    Ok(data.list(list).await?.rows)
}

/// The first of `ids` that is none of these lessons.
pub(crate) fn stranger(lessons: &[Lesson], ids: &BTreeSet<Id>) -> Option<Id> {
    let known: BTreeSet<Id> = lessons.iter().map(|lesson| lesson.id).collect();
    ids.difference(&known).next().copied()
}
