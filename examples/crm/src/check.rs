//! What a field may hold, said in a sentence where it is refused.

/// A trimmed text of 1 to `most` characters.
pub(crate) fn text(what: &str, text: &str, most: usize) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("the {what} is missing"));
    }
    if text.contains('\0') {
        return Err(format!("the {what} contains NUL"));
    }
    if text.chars().count() > most {
        return Err(format!("the {what} has more than {most} characters"));
    }
    Ok(text.to_owned())
}

/// Like [`text`], where a blank one is none.
pub(crate) fn optional(what: &str, value: Option<&str>, most: usize) -> Result<Option<String>, String> {
    value.filter(|value| !value.trim().is_empty()).map(|value| text(what, value, most)).transpose()
}

/// An address in lower case. Whether it exists only a message to it can tell.
pub(crate) fn email(address: &str) -> Result<String, String> {
    let address = text("email", address, 254)?.to_lowercase();
    let is_host = |host: &str| host.contains('.') && host.split('.').all(|label| !label.is_empty());
    let is_sound = !address.chars().any(|letter| letter.is_whitespace() || letter.is_control() || letter == ',');
    match address.split_once('@') {
        Some((name, host)) if is_sound && !name.is_empty() && !host.contains('@') && is_host(host) => Ok(address),
        _ => Err(format!("{address:?} is no email address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_are_told_from_other_texts() {
        assert_eq!(email(" Ann@Example.COM "), Ok("ann@example.com".into()));
        for wrong in ["", "ann", "@example.com", "ann@", "ann@host", "a@b@c.de", "a b@c.de", "a@c..de", "a@c.de,b@c.de"]
        {
            assert!(email(wrong).is_err(), "{wrong}");
        }
        assert!(email("a\0@b.de").is_err());
    }
}
