//! Postgres with TLS, passwords and a bound on its connections.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::PathBuf,
    time::{Duration, Instant},
};

use millstream_store::{Error, Store, TlsMode};
use millstream_tests::Postgres;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_postgres::{Client, NoTls};

use crate::packs::until;

/// A Postgres that speaks TLS with a certificate for `localhost`, and asks `ann` for the password `right`.
struct Secured {
    server: Postgres,
    authority: PathBuf,
    stranger: PathBuf,
    _folder: tempfile::TempDir,
}

impl Secured {
    async fn start() -> Self {
        let server = Postgres::start().await.expect("a Postgres");
        let folder = tempfile::tempdir().expect("a folder");
        let (authority, issuer) = authority("an authority of this test");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("signed");

        let data = server.dir().join("data");
        let owner = fs::metadata(&data).expect("the cluster");
        for (name, text) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
            let path = data.join(name);
            fs::write(&path, text).expect("written");
            chown(&path, Some(owner.uid()), Some(owner.gid())).expect("given to the server");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("private");
        }
        let rules = data.join("pg_hba.conf");
        let all = fs::read_to_string(&rules).expect("the rules");
        fs::write(&rules, format!("host all ann 127.0.0.1/32 scram-sha-256\n{all}")).expect("written");

        let client = client(&server).await;
        client.batch_execute("CREATE ROLE ann LOGIN PASSWORD 'right'").await.expect("a role");
        client.batch_execute("ALTER SYSTEM SET ssl = on").await.expect("a setting");
        client.batch_execute("SELECT pg_reload_conf()").await.expect("reloaded");
        let of = |name: &str, text: String| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("written");
            path
        };
        let (authority, stranger) =
            (of("authority.pem", authority), of("stranger.pem", self::authority("a stranger").0));
        let secured = Self { server, authority, stranger, _folder: folder };
        until(async || Store::builder(&secured.url("127.0.0.1")).tls(TlsMode::Require).await.is_ok()).await;
        secured
    }

    fn url(&self, host: &str) -> String {
        self.server.url().replace("127.0.0.1", host)
    }
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("signed");
    (certificate.pem(), Issuer::new(params, key))
}

async fn client(server: &Postgres) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// Whether all connections of the store are encrypted, typed and raw ones.
async fn is_encrypted(store: &Store, server: &Postgres) -> bool {
    let _raw = store.raw_postgres().await.expect("a raw connection");
    store.health().await.expect("a typed connection");
    let view = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'millstream'";
    let rows = client(server).await.query(view, &[]).await.expect("the server's view");
    assert!(rows.len() >= 2, "typed and raw");
    rows.iter().all(|row| row.get(0))
}

/// The refusal, which must come in time.
async fn refusal(store: impl IntoFuture<Output = Result<Store, Error>>) -> String {
    let started = Instant::now();
    let error = store.await.expect_err("refused");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert!(matches!(error, Error::Unreachable { .. } | Error::Url { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_and_certificates_are_checked_as_far_as_asked() {
    let secured = Secured::start().await;
    let (ip, name) = (secured.url("127.0.0.1"), secured.url("localhost"));
    let root = |path: &PathBuf| path.display().to_string();

    for (url, encrypted) in [
        (ip.clone(), true), // the server offers it
        (format!("{ip}?sslmode=disable"), false),
        (format!("{ip}?sslmode=require"), true),
        (format!("{ip}?sslmode=verify-ca&sslrootcert={}", root(&secured.authority)), true),
        (format!("{name}?sslmode=verify-full&sslrootcert={}", root(&secured.authority)), true),
    ] {
        let store = Store::connect(&url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(is_encrypted(&store, &secured.server).await, encrypted, "{url}");
        drop(store);
        let server = client(&secured.server).await;
        let gone = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'millstream'";
        until(async || server.query_one(gone, &[]).await.expect("a count").get::<_, i64>(0) == 0).await;
    }

    for (url, words) in [
        (format!("{ip}?sslmode=verify-full&sslrootcert={}", root(&secured.authority)), "127.0.0.1"),
        (format!("{name}?sslmode=verify-full&sslrootcert={}", root(&secured.stranger)), "UnknownIssuer"),
        (format!("{ip}?sslmode=verify-ca&sslrootcert={}", root(&secured.stranger)), "UnknownIssuer"),
        (format!("{ip}?sslmode=require&sslrootcert={}", root(&secured.stranger)), "UnknownIssuer"),
        (format!("{name}?sslmode=verify-full"), "UnknownIssuer"),
        (format!("{ip}?sslmode=verify-ca&sslrootcert=/no/such.pem"), "/no/such.pem"),
    ] {
        let refused = refusal(Store::builder(&url)).await;
        assert!(refused.contains(words), "{url}: {refused}");
    }
    let builder = Store::builder(&name).tls(TlsMode::VerifyFull).tls_root_certificate(&secured.authority);
    assert!(is_encrypted(&builder.await.expect("by fields"), &secured.server).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_as_such_and_not_shown() {
    let secured = Secured::start().await;
    let url = |password: &str| secured.url("127.0.0.1").replacen("postgres@", &format!("ann:{password}@"), 1);
    Store::connect(&url("right")).await.expect("the right one");
    let refused = refusal(Store::builder(&url("s3cret"))).await;
    assert!(refused.contains("password authentication failed for user \"ann\""), "{refused}");
    assert!(!refused.contains("s3cret"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_refused_where_tls_is_required() {
    let server = Postgres::start().await.expect("a Postgres");
    let refused = refusal(Store::builder(&format!("{}?sslmode=require", server.url()))).await;
    assert!(refused.contains("TLS"), "{refused}");
    Store::connect(&server.url()).await.expect("TLS is preferred only");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_told_as_such() {
    let server =
        Postgres::start_with(&["max_connections=4", "superuser_reserved_connections=0"]).await.expect("a Postgres");
    let store = Store::builder(&server.url()).raw_pool_size(8).await.expect("a store");
    let mut held = Vec::new();
    let refused = loop {
        let started = Instant::now();
        match store.raw_postgres().await {
            Ok(client) => held.push(client),
            Err(error) => {
                assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
                break error.to_string();
            }
        }
    };
    assert!(refused.contains("too many clients"), "{refused}");
    let refused = refusal(Store::builder(&server.url())).await;
    assert!(refused.contains("too many clients"), "{refused}");
    drop(held);
    until(async || store.raw_postgres().await.is_ok()).await;
}
