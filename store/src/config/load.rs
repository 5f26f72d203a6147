//! Reading settings from a TOML file and from the environment.

use std::{collections::HashMap, path::Path};

use config::{Config, ConfigError, Environment, File, FileFormat, Value};

use super::{StoreConfig, field};
use crate::Error;

/// `MILLSTREAM_STORE_POOL_SIZE` is `pool_size`.
const PREFIX: &str = "MILLSTREAM_STORE";

impl StoreConfig {
    /// Reads the `[store]` table of a TOML file, if one is given, then the environment, whose values win:
    /// `MILLSTREAM_STORE_URL`, `MILLSTREAM_STORE_POOL_SIZE` and so on, one for each field. Times are written as `500ms`,
    /// `2s`, `10m` or `1h`.
    ///
    /// ```toml
    /// [store]
    /// url = "postgres://ann@db.example.com/shop?sslmode=verify-full"
    /// pool_size = 16
    /// checkout_timeout = "500ms"
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] with the field as it is named in the file or the environment, and what would be right.
    pub fn load(file: Option<&Path>) -> Result<Self, Error> {
        let text = match file {
            Some(path) => Some((
                std::fs::read_to_string(path).map_err(|error| refused(path.display(), error.to_string()))?,
                path.display().to_string(),
            )),
            None => None,
        };
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .collect();
        Self::read(text.as_ref().map(|(text, name)| (text.as_str(), name.as_str())), environment)
    }

    /// Reads a TOML text as [`StoreConfig::load`] reads a file, and no environment.
    ///
    /// # Errors
    /// Those of [`StoreConfig::load`].
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        Self::read(Some((text, "the text")), HashMap::new())
    }

    fn read(file: Option<(&str, &str)>, environment: HashMap<String, String>) -> Result<Self, Error> {
        let mut config = Self::new("");
        if let Some((text, name)) = file {
            for (key, value) in table(text, name)? {
                field::set(&mut config, &key, &value)
                    .map_err(|reason| refused(format_args!("store.{key} in {name}"), reason))?;
            }
        }
        for (key, value) in variables(environment)? {
            field::set(&mut config, &key, &value)
                .map_err(|reason| refused(format_args!("{PREFIX}_{}", key.to_uppercase()), reason))?;
        }
        config.validate()?;
        Ok(config)
    }
}

/// The `[store]` table, in the order of its keys.
fn table(text: &str, name: &str) -> Result<Vec<(String, Value)>, Error> {
    let unreadable = |error: ConfigError| refused(name, without_quotes(&error.to_string()));
    let read = Config::builder().add_source(File::from_str(text, FileFormat::Toml)).build().map_err(unreadable)?;
    match read.get_table("store") {
        Ok(table) => Ok(sorted(table)),
        Err(ConfigError::NotFound(_)) => Ok(Vec::new()),
        Err(_) => Err(refused(format_args!("store in {name}"), "it should be a table: [store]".to_owned())),
    }
}

fn variables(environment: HashMap<String, String>) -> Result<Vec<(String, Value)>, Error> {
    let source = Environment::with_prefix(PREFIX).prefix_separator("_").ignore_empty(true).source(Some(environment));
    let read = Config::builder().add_source(source).build();
    let table = read.map(|read| read.cache).and_then(|value| value.into_table());
    table.map(sorted).map_err(|_| refused(PREFIX, "the environment could not be read".to_owned()))
}

fn sorted(table: impl IntoIterator<Item = (String, Value)>) -> Vec<(String, Value)> {
    let mut fields: Vec<_> = table.into_iter().collect();
    fields.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    fields
}

/// The parser's words without the lines that it quotes, which may hold a password.
fn without_quotes(message: &str) -> String {
    let quoted = |line: &&str| !line.contains('|');
    message.lines().filter(quoted).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(": ")
}

fn refused(field: impl ToString, reason: String) -> Error {
    Error::Config { field: field.to_string(), reason }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::TlsMode;

    fn environment(variables: &[(&str, &str)]) -> HashMap<String, String> {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_defaults() {
        let file = "[store]\nurl = \"sqlite://a.db\"\npool_size = 3\ncheckout_timeout = \"500ms\"\ntls = \"verify-full\"\n\
                    [other]\nthing = 1\n";
        let variables = [
            ("MILLSTREAM_STORE_POOL_SIZE", "5"),
            ("MILLSTREAM_STORE_CREATE_MISSING", "false"),
            ("MILLSTREAM_STORE_LEAK_AFTER", "1m"),
            ("MILLSTREAM_STORE_MIN_IDLE", ""),
            ("MILLSTREAM_REDIS_URL", "redis://elsewhere"),
        ];
        let config = StoreConfig::read(Some((file, "a.toml")), environment(&variables)).expect("accepted");
        assert_eq!((config.name().as_str(), config.pool_size, config.raw_pool_size), ("sqlite://a.db", 5, 4));
        assert_eq!(config.checkout_timeout, Duration::from_millis(500));
        assert_eq!(config.leak_after, Duration::from_secs(60));
        assert_eq!((config.create_missing, config.tls), (false, Some(TlsMode::VerifyFull)));
    }

    #[test]
    fn refusals_name_the_field_where_it_stands_and_never_the_password() {
        let secret = "url = \"postgres://ann:s3cret@h/x\"";
        for (text, words) in [
            (format!("[store]\n{secret}\npool_size = \"many\""), "store.pool_size in a.toml: \"many\""),
            (format!("[store]\n{secret}\npool_sise = 1"), "store.pool_sise in a.toml: there is no such field"),
            (format!("[store]\n{secret}\nidle_timeout = \"soon\""), "such as 500ms, 2s"),
            (format!("[store]\n{secret}\ntls = \"yes\""), "disable, prefer, require"),
            (format!("[store]\n{secret}\nmin_idle = -1"), "a whole number"),
            (format!("[store]\n{secret} oops"), "a.toml: TOML parse error at line 2"),
            ("store = \"postgres://ann:s3cret@h/x\"".to_owned(), "it should be a table"),
            ("[store]\nurl = [\"s3cret\"]".to_owned(), "store.url in a.toml: it should be a text"),
            ("[store]\npool_size = 1".to_owned(), "url: it is missing"),
        ] {
            let error = StoreConfig::read(Some((&text, "a.toml")), HashMap::new()).expect_err("refused");
            assert!(error.to_string().contains(words), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
        let variables = environment(&[("MILLSTREAM_STORE_CHECKOUT_TIMEOUT", "x")]);
        let error = StoreConfig::read(None, variables).expect_err("refused").to_string();
        assert!(error.contains("MILLSTREAM_STORE_CHECKOUT_TIMEOUT: \"x\""), "{error}");
    }

    #[test]
    fn debug_hides_the_password() {
        let config = StoreConfig::new("postgres://ann:s3cret@h/x");
        assert!(format!("{config:?}").contains("postgres://ann:***@h/x"), "{config:?}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = StoreConfig::load(Some(Path::new("/no/such/file.toml"))).expect_err("refused").to_string();
        assert!(error.contains("/no/such/file.toml"), "{error}");
    }
}
