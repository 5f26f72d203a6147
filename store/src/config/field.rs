//! One field after the other: how its value is read from text, and its bounds.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use config::{Value, ValueKind};
use secrecy::{ExposeSecret, SecretString};

use super::StoreConfig;
use crate::Error;

/// All fields, as files name them.
const FIELDS: &str = "url, pool_size, raw_pool_size, min_idle, checkout_timeout, connect_timeout, idle_timeout, \
                      max_lifetime, leak_after, busy_timeout, create_missing, tls, tls_root_certificate";

const SIZES: RangeInclusive<u32> = 1..=1000;
const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=HOUR;
const AGES: RangeInclusive<Duration> = Duration::from_secs(1)..=WEEK;

/// Sets the field `key`. The reason of a refusal shows the value, unless it may be a secret.
pub(super) fn set(config: &mut StoreConfig, key: &str, value: &Value) -> Result<(), String> {
    match key {
        "url" => match &value.kind {
            ValueKind::String(url) => config.url = SecretString::from(url.clone()),
            _ => return Err("it should be a text such as \"postgres://user:password@host/database\"".to_owned()),
        },
        "pool_size" => config.pool_size = whole(value)?,
        "raw_pool_size" => config.raw_pool_size = whole(value)?,
        "min_idle" => config.min_idle = whole(value)?,
        "checkout_timeout" => config.checkout_timeout = duration(value)?,
        "connect_timeout" => config.connect_timeout = duration(value)?,
        "idle_timeout" => config.idle_timeout = duration(value)?,
        "max_lifetime" => config.max_lifetime = duration(value)?,
        "leak_after" => config.leak_after = duration(value)?,
        "busy_timeout" => config.busy_timeout = duration(value)?,
        "create_missing" => {
            let text = value.to_string();
            config.create_missing = text.parse().map_err(|_| format!("{text:?} should be true or false"))?;
        }
        "tls" => {
            let text = value.to_string();
            config.tls = Some(text.parse().map_err(|reason| format!("{text:?} is unknown: {reason}"))?);
        }
        "tls_root_certificate" => config.tls_root_certificate = Some(value.to_string().into()),
        _ => return Err(format!("there is no such field; those are {FIELDS}")),
    }
    Ok(())
}

/// Refuses the first field that is out of its bounds.
pub(super) fn check(config: &StoreConfig) -> Result<(), Error> {
    if config.url.expose_secret().is_empty() {
        return Err(refused(
            "url",
            "it is missing; set it in the file's [store] table or as MILLSTREAM_STORE_URL, such as \
             postgres://user:password@host/database or sqlite://path/to/file.db",
        ));
    }
    within("pool_size", config.pool_size, &SIZES, &u32::to_string)?;
    within("raw_pool_size", config.raw_pool_size, &SIZES, &u32::to_string)?;
    within("min_idle", config.min_idle, &(0..=config.pool_size), &u32::to_string)?;
    let spans = [
        ("checkout_timeout", config.checkout_timeout, TIMEOUTS),
        ("connect_timeout", config.connect_timeout, TIMEOUTS),
        ("idle_timeout", config.idle_timeout, AGES),
        ("max_lifetime", config.max_lifetime, AGES),
        ("leak_after", config.leak_after, Duration::ZERO..=WEEK),
        ("busy_timeout", config.busy_timeout, Duration::ZERO..=HOUR),
    ];
    spans.into_iter().try_for_each(|(field, value, bounds)| within(field, value, &bounds, &|span| format!("{span:?}")))
}

fn within<T: PartialOrd>(
    field: &str,
    value: T,
    bounds: &RangeInclusive<T>,
    show: &dyn Fn(&T) -> String,
) -> Result<(), Error> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let reason = format!("{} should be {} to {}", show(&value), show(bounds.start()), show(bounds.end()));
    Err(refused(field, reason))
}

fn refused(field: &str, reason: impl Display) -> Error {
    Error::Config { field: field.to_owned(), reason: reason.to_string() }
}

fn whole(value: &Value) -> Result<u32, String> {
    let text = value.to_string();
    text.parse().map_err(|_| format!("{text:?} should be a whole number from 0"))
}

/// `500ms`, `2s`, `10m`, `1h`, `7d`; a bare number means seconds.
fn duration(value: &Value) -> Result<Duration, String> {
    let text = value.to_string();
    read_duration(&text).ok_or_else(|| format!("{text:?} should be a time such as 500ms, 2s, 10m, 1h or 7d"))
}

fn read_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().ok()?;
    let seconds = match unit.trim() {
        "ms" => return Some(Duration::from_millis(number)),
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("2s", Some(2000)),
            ("2", Some(2000)),
            ("10 min", Some(600_000)),
            ("1h", Some(3_600_000)),
            ("-1s", None),
            ("1.5s", None),
            ("s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
            ("2 weeks", None),
        ] {
            assert_eq!(read_duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        let refusal = |change: fn(&mut StoreConfig)| {
            let mut config = StoreConfig::new("sqlite://x.db");
            change(&mut config);
            config.validate().map_err(|error| error.to_string())
        };
        assert_eq!(refusal(|_| {}), Ok(()));
        for (change, words) in [
            ((|config| config.pool_size = 0) as fn(&mut StoreConfig), "pool_size: 0 should be 1 to 1000"),
            (|config| config.min_idle = 9, "min_idle: 9 should be 0 to 8"),
            (|config| config.checkout_timeout = Duration::ZERO, "checkout_timeout: 0ns should be 1ms to 3600s"),
            (|config| config.max_lifetime = Duration::MAX, "max_lifetime"),
            (|config| config.url = String::new().into(), "MILLSTREAM_STORE_URL"),
        ] {
            let refusal = refusal(change).expect_err("refused");
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}
