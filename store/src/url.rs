//! Which database a URL means.

use std::{path::PathBuf, time::Duration};

use tokio_postgres::config::SslMode;

use crate::Error;

/// How long one address of a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A peer that has vanished without a word is given up after this long.
const SILENCE: Duration = Duration::from_secs(30);

/// The database behind a URL.
#[derive(Debug)]
pub(crate) enum Target {
    Postgres(Box<tokio_postgres::Config>),
    Sqlite(PathBuf),
}

/// Reads `postgres://…`, `postgresql://…` or `sqlite://…`.
pub(crate) fn parse(url: &str) -> Result<Target, Error> {
    let refuse = |reason: String| Error::Url { url: redact(url), reason };
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => postgres(url).map_err(refuse),
        Some(("sqlite", path)) => sqlite(path).map_err(refuse),
        _ => Err(refuse("it should be postgres://user:password@host/database or sqlite://path/to/file.db".into())),
    }
}

fn postgres(url: &str) -> Result<Target, String> {
    let mut config: tokio_postgres::Config = url.parse().map_err(|error: tokio_postgres::Error| {
        // The parser's own words may quote the URL.
        let reason = crate::error::chain(&error);
        password(url).map_or(reason.clone(), |secret| reason.replace(secret, "***"))
    })?;
    if config.get_ssl_mode() == SslMode::Require {
        return Err("sslmode=require asks for TLS, which this version does not speak; use sslmode=disable on a \
                    trusted network"
            .into());
    }
    if config.get_application_name().is_none() {
        config.application_name("millstream");
    }
    config.connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(SILENCE).keepalives_idle(SILENCE);
    Ok(Target::Postgres(Box::new(config)))
}

fn sqlite(path: &str) -> Result<Target, String> {
    let path = path.strip_prefix("//").unwrap_or(path);
    let (path, options) = path.split_once('?').unwrap_or((path, ""));
    if path.is_empty() || path.contains(":memory:") || options.contains("mode=memory") {
        return Err("every connection to a database in memory is a database of its own; name a file: \
                    sqlite://path/to/file.db"
            .into());
    }
    if !options.is_empty() {
        return Err(format!("options after `?` are not known here: {options}"));
    }
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    Ok(Target::Sqlite(path))
}

/// The URL with its password, if any, replaced.
pub(crate) fn redact(url: &str) -> String {
    let Some(secret) = password(url) else { return url.to_owned() };
    let start = secret.as_ptr() as usize - url.as_ptr() as usize;
    format!("{}***{}", &url[..start], &url[start + secret.len()..])
}

/// The password in `scheme://user:password@…` or in `…?password=…`.
fn password(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    // A password may hold an unescaped slash or question mark by mistake: then look up to the last @.
    let user_info = authority.rsplit_once('@').or_else(|| rest.rsplit_once('@')).map(|(user_info, _)| user_info);
    let in_authority = user_info.and_then(|user_info| user_info.split_once(':')).map(|(_, secret)| secret);
    let in_query = || rest.split_once("password=").map(|(_, tail)| tail.split('&').next().unwrap_or(tail));
    in_authority.or_else(in_query).filter(|secret| !secret.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        parse(url).expect_err("refused").to_string()
    }

    fn file(url: &str) -> PathBuf {
        match parse(url).expect("accepted") {
            Target::Sqlite(path) => path,
            Target::Postgres(_) => panic!("{url} is SQLite"),
        }
    }

    #[test]
    fn sqlite_urls_name_absolute_and_relative_files() {
        assert_eq!(file("sqlite:///var/lib/a.db"), PathBuf::from("/var/lib/a.db"));
        assert_eq!(file("sqlite://a.db"), std::env::current_dir().expect("a directory").join("a.db"));
        assert_eq!(file("sqlite:a b.db"), std::env::current_dir().expect("a directory").join("a b.db"));
    }

    #[test]
    fn databases_in_memory_are_refused_with_the_reason() {
        for url in ["sqlite://:memory:", "sqlite::memory:", "sqlite://", "sqlite://x?mode=memory"] {
            assert!(refusal(url).contains("name a file"), "{}", refusal(url));
        }
    }

    #[test]
    fn other_schemes_are_refused_with_an_example() {
        assert!(refusal("mysql://localhost/x").contains("postgres://user:password@host/database"));
        assert!(refusal("").contains("sqlite://"));
    }

    #[test]
    fn required_tls_is_refused_and_not_quietly_dropped() {
        assert!(refusal("postgres://localhost/x?sslmode=require").contains("sslmode=disable"));
    }

    #[test]
    fn no_refusal_shows_the_password() {
        for url in [
            "postgres://ann:s3cret@host:port/x",
            "postgres://ann:s3cret@host/x?sslmode=require",
            "postgres://ann:s3cret@host/x?nonsense=1",
            "postgres://host/x?user=ann&password=s3cret&sslmode=require",
            "postgres://ann:s3cret/@host/x?sslmode=require",
            "mysql://ann:s3cret@host/x",
        ] {
            assert!(!refusal(url).contains("s3cret"), "{}", refusal(url));
        }
    }
}
