use super::*;
use crate::documented;

#[test]
fn the_document_lists_exactly_the_metrics_that_are_exported() {
    let described: Vec<Vec<String>> = MEASURES
        .iter()
        .map(|measure| {
            let labels: Vec<String> = measure.labels.iter().map(|label| format!("`{label}`")).collect();
            vec![
                format!("`{}`", measure.name),
                measure.kind.to_lowercase(),
                labels.join(" "),
                measure.meaning.to_owned(),
            ]
        })
        .collect();
    assert_eq!(documented::rows("| metric |", 4), described);
}

#[test]
fn the_document_lists_the_buckets() {
    for buckets in [SECONDS_BUCKETS, JOBS_BUCKETS] {
        let bounds: Vec<String> = buckets.iter().map(ToString::to_string).collect();
        assert!(documented::DOCUMENT.contains(&bounds.join(", ")), "{bounds:?} are not in the document");
    }
}
