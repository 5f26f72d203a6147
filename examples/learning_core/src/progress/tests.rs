use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn any_report() -> impl Strategy<Value = Report> {
    let lessons = prop::collection::btree_set((0u128..20).prop_map(|id| Id(Uuid::from_u128(id))), 0..6);
    (lessons, prop::option::of(0i64..1000)).prop_map(|(lessons, position)| Report {
        version: None,
        completed: LessonSet(lessons),
        position,
    })
}

proptest! {
    #[test]
    fn reports_come_out_the_same_in_any_order_and_twice(reports in prop::collection::vec(any_report(), 0..8)) {
        let start = Enrolment::new(Id::new(), Id::new());
        let forth = reports.iter().fold(start.clone(), Enrolment::with);
        let back = reports.iter().rev().fold(start, Enrolment::with);
        prop_assert_eq!(&forth, &back);
        prop_assert_eq!(reports.iter().fold(forth.clone(), Enrolment::with), forth.clone());
        for report in &reports {
            prop_assert!(report.completed.0.is_subset(&forth.completed.0), "no lesson is lost");
            prop_assert!(report.position.is_none_or(|position| position <= forth.position));
        }
    }

    #[test]
    fn only_who_knows_the_present_version_goes_back(report in any_report(), version in 0i64..3) {
        let start = Enrolment { version: 2, position: 500, ..Enrolment::new(Id::new(), Id::new()) };
        let next = start.with(&Report { version: Some(version), ..report.clone() });
        let expected = match report.position {
            Some(position) if version == 2 => position,
            position => position.unwrap_or(0).max(500),
        };
        prop_assert_eq!(next.position, expected);
    }
}
