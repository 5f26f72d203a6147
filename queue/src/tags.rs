//! The rule for tags: short texts that a page of the history can list and a query can ask for.

use crate::Error;

/// Most tags of a job.
const MOST: usize = 16;
/// Longest tag, in bytes.
const LONGEST: usize = 64;

pub(crate) fn check(tags: &[String]) -> Result<(), Error> {
    for (index, tag) in tags.iter().enumerate() {
        let rule = if index == MOST {
            "a job has at most 16 tags"
        } else if tag.is_empty() || tag.len() > LONGEST {
            "a tag has 1 to 64 bytes"
        } else if tag.chars().any(char::is_control) {
            "a tag has no control characters"
        } else {
            continue;
        };
        return Err(Error::Tag { tag: tag.clone(), rule });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(tags: &[String]) -> String {
        check(tags).expect_err("refused").to_string()
    }

    #[test]
    fn a_tag_that_is_refused_is_named_with_the_rule() {
        let numbered = |count: usize| (0..count).map(|number| format!("tag {number}")).collect::<Vec<_>>();
        assert!(check(&numbered(16)).is_ok());
        assert_eq!(refusal(&numbered(17)), r#"the tag "tag 16" is refused: a job has at most 16 tags"#);
        assert!(check(&["x".repeat(64), "ü {}:".to_owned()]).is_ok());
        assert_eq!(refusal(&["fine".to_owned(), String::new()]), r#"the tag "" is refused: a tag has 1 to 64 bytes"#);
        assert!(refusal(&["x".repeat(65)]).contains("1 to 64 bytes"));
        assert_eq!(refusal(&["a\0".to_owned()]), r#"the tag "a\0" is refused: a tag has no control characters"#);
    }
}
