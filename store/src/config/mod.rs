//! Settings of a store: in the program, from a TOML file, from the environment.

mod field;
mod load;

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use crate::{Error, url};

/// Settings of a [`Store`](crate::Store), with their defaults. Build it with [`StoreConfig::new`] and change fields, or
/// read it with [`StoreConfig::load`].
#[derive(Clone)]
#[non_exhaustive]
pub struct StoreConfig {
    /// `postgres://user:password@host/database` or `sqlite://path/to/file.db`. Required.
    pub url: SecretString,
    /// Most connections for typed queries: to Postgres, or readers of a SQLite file, which has one writer beside them. 1 to
    /// 1000. Default: 8.
    pub pool_size: u32,
    /// Most raw connections: `tokio-postgres` or `rusqlite`. The recorder and migrations use them too. 1 to 1000.
    /// Default: 4.
    pub raw_pool_size: u32,
    /// Idle connections that each pool keeps ready. At most its size. Default: 0.
    pub min_idle: u32,
    /// Longest wait for a connection. 1 ms to 1 h. Default: 2 s.
    pub checkout_timeout: Duration,
    /// Longest time to connect and log in. 1 ms to 1 h. Default: 2 s.
    pub connect_timeout: Duration,
    /// A connection that was idle for this long is closed. 1 s to 7 d. Default: 10 min.
    pub idle_timeout: Duration,
    /// A connection of this age is closed when it is returned. 1 s to 7 d. Default: 30 min.
    pub max_lifetime: Duration,
    /// A connection that is held for longer is reported in the log with the place where it was taken, once. 0 turns it
    /// off. At most 7 d. Default: 30 s.
    pub leak_after: Duration,
    /// How long SQLite waits for another process's write. 0 to 1 h. Default: 5 s.
    pub busy_timeout: Duration,
    /// Whether a SQLite file that isn't there is made, or refused. Default: made.
    pub create_missing: bool,
    /// TLS to Postgres. Default: the URL's `sslmode`, else [`TlsMode::Prefer`].
    pub tls: Option<TlsMode>,
    /// A PEM file with the certificates of the authorities that may have signed the server's. Default: the URL's
    /// `sslrootcert`, else the authorities that browsers trust.
    pub tls_root_certificate: Option<PathBuf>,
}

impl StoreConfig {
    /// The defaults for the database behind `url`. Nothing is checked before a store connects.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            pool_size: 8,
            raw_pool_size: 4,
            min_idle: 0,
            checkout_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(10 * 60),
            max_lifetime: Duration::from_secs(30 * 60),
            leak_after: Duration::from_secs(30),
            busy_timeout: Duration::from_secs(5),
            create_missing: true,
            tls: None,
            tls_root_certificate: None,
        }
    }

    /// The URL without its password.
    pub fn name(&self) -> String {
        url::redact(self.url.expose_secret())
    }

    /// Whether every value is within its bounds.
    ///
    /// # Errors
    /// [`Error::Config`] with the field and what would be right.
    pub fn validate(&self) -> Result<(), Error> {
        field::check(self)
    }
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig")
            .field("url", &self.name())
            .field("pool_size", &self.pool_size)
            .field("raw_pool_size", &self.raw_pool_size)
            .field("min_idle", &self.min_idle)
            .field("checkout_timeout", &self.checkout_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_lifetime", &self.max_lifetime)
            .field("leak_after", &self.leak_after)
            .field("busy_timeout", &self.busy_timeout)
            .field("create_missing", &self.create_missing)
            .field("tls", &self.tls)
            .field("tls_root_certificate", &self.tls_root_certificate)
            .finish()
    }
}

/// How a connection to Postgres is protected; the meanings are those of libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsMode {
    /// Never TLS.
    Disable,
    /// TLS where the server offers it, without a look at its certificate: no protection against an active attacker.
    Prefer,
    /// TLS or no connection. The certificate is checked as by [`TlsMode::VerifyCa`] if a root certificate is given, else
    /// not at all.
    Require,
    /// TLS with a certificate that a known authority signed, for whatever host.
    VerifyCa,
    /// TLS with a certificate that a known authority signed for this host. What a network you don't own needs.
    VerifyFull,
}

impl FromStr for TlsMode {
    type Err = String;

    /// Reads libpq's names; the error says which those are.
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return Err("it should be disable, prefer, require, verify-ca or verify-full".to_owned()),
        })
    }
}
