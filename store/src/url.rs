//! Which database a URL means.

use std::path::PathBuf;

use secrecy::ExposeSecret;

use crate::{Error, StoreConfig, TlsMode, tls::Tls};

/// A peer that has vanished without a word is given up after this long.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The database behind a URL.
#[derive(Debug)]
pub(crate) enum Target {
    Postgres(Box<tokio_postgres::Config>, Tls),
    Sqlite(PathBuf),
}

/// Reads `postgres://…`, `postgresql://…` or `sqlite://…`.
pub(crate) fn parse(config: &StoreConfig) -> Result<Target, Error> {
    let url = config.url.expose_secret();
    let refuse = |reason: String| Error::Url { url: redact(url), reason };
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => postgres(url, config).map_err(refuse),
        Some(("sqlite", path)) => sqlite(path).map_err(refuse),
        _ => Err(refuse("it should be postgres://user:password@host/database or sqlite://path/to/file.db".into())),
    }
}

fn postgres(url: &str, config: &StoreConfig) -> Result<Target, String> {
    let (url, mode, root) = without_tls(url)?;
    let mut postgres: tokio_postgres::Config = url.parse().map_err(|error: tokio_postgres::Error| {
        // The parser's own words may quote the URL.
        let reason = crate::error::chain(&error);
        password(&url).map_or(reason.clone(), |secret| reason.replace(secret, "***"))
    })?;
    let tls = Tls {
        mode: config.tls.or(mode).unwrap_or(TlsMode::Prefer),
        root: config.tls_root_certificate.clone().or(root),
    };
    if postgres.get_application_name().is_none() {
        postgres.application_name("millstream");
    }
    postgres.connect_timeout(config.connect_timeout).tcp_user_timeout(SILENCE).keepalives_idle(SILENCE);
    postgres.ssl_mode(tls.negotiation());
    Ok(Target::Postgres(Box::new(postgres), tls))
}

/// The URL without `sslmode` and `sslrootcert`, and these two: tokio-postgres knows neither all modes nor root
/// certificates.
fn without_tls(url: &str) -> Result<(String, Option<TlsMode>, Option<PathBuf>), String> {
    let Some((place, parameters)) = url.split_once('?') else { return Ok((url.to_owned(), None, None)) };
    let (mut mode, mut root, mut others) = (None, None, Vec::new());
    for parameter in parameters.split('&') {
        match parameter.split_once('=') {
            Some(("sslmode", value)) => {
                mode = Some(value.parse().map_err(|reason| format!("sslmode={value} is unknown: {reason}"))?);
            }
            Some(("sslrootcert", value)) => root = Some(PathBuf::from(decode(value))),
            _ => others.push(parameter),
        }
    }
    let rest = if others.is_empty() { place.to_owned() } else { format!("{place}?{}", others.join("&")) };
    Ok((rest, mode, root))
}

/// A part of a URL with its `%2F` and the like decoded.
fn decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => Some((high, low)),
            _ => None,
        };
        let hex = |digit: u8| char::from(digit).to_digit(16);
        match escaped
            .and_then(|(high, low)| Some(hex(*high)? * 16 + hex(*low)?))
            .and_then(|byte| u8::try_from(byte).ok())
        {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
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

    fn parsed(url: &str) -> Result<Target, Error> {
        parse(&StoreConfig::new(url))
    }

    fn refusal(url: &str) -> String {
        parsed(url).expect_err("refused").to_string()
    }

    fn file(url: &str) -> PathBuf {
        match parsed(url).expect("accepted") {
            Target::Sqlite(path) => path,
            Target::Postgres(..) => panic!("{url} is SQLite"),
        }
    }

    fn tls(config: &StoreConfig) -> Tls {
        match parse(config).expect("accepted") {
            Target::Postgres(_, tls) => tls,
            Target::Sqlite(path) => panic!("{} is Postgres", path.display()),
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
    fn tls_comes_from_the_url_unless_a_field_says_otherwise() {
        let plain = tls(&StoreConfig::new("postgres://h/x"));
        assert_eq!(plain, Tls { mode: TlsMode::Prefer, root: None });
        let url = "postgres://h/x?sslmode=verify-full&application_name=a&sslrootcert=%2Fetc%2Fca.pem";
        let root = |path: &str| Some(PathBuf::from(path));
        assert_eq!(tls(&StoreConfig::new(url)), Tls { mode: TlsMode::VerifyFull, root: root("/etc/ca.pem") });
        let mut config = StoreConfig::new(url);
        config.tls = Some(TlsMode::VerifyCa);
        config.tls_root_certificate = root("/other.pem");
        assert_eq!(tls(&config), Tls { mode: TlsMode::VerifyCa, root: root("/other.pem") });
        assert!(refusal("postgres://h/x?sslmode=maybe").contains("disable, prefer, require"));
    }

    #[test]
    fn no_refusal_shows_the_password() {
        for url in [
            "postgres://ann:s3cret@host:port/x",
            "postgres://ann:s3cret@host/x?sslmode=maybe",
            "postgres://ann:s3cret@host/x?nonsense=1",
            "postgres://host/x?user=ann&password=s3cret&sslmode=maybe",
            "postgres://ann:s3cret/@host/x?sslmode=maybe",
            "mysql://ann:s3cret@host/x",
        ] {
            assert!(!refusal(url).contains("s3cret"), "{}", refusal(url));
        }
    }
}
