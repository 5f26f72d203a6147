//! What a test works with.

use crm::{App, Company, CompanyFields, ContactFields, DealFields, Import, MIGRATIONS, Uploads, begin, create};
use futures::stream;
use millstream_queue::Client;
use millstream_store::{Id, Store};
use millstream_tests::{Database, namespace, shared_redis};

pub(crate) struct Desk {
    pub(crate) store: Store,
    pub(crate) client: Client,
    pub(crate) uploads: Uploads,
    pub(crate) folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) async fn new(database: &Database) -> Self {
        Self::with_limit(database, 64 << 20).await
    }

    pub(crate) async fn with_limit(database: &Database, limit: u64) -> Self {
        let store = Store::connect(&database.url).await.unwrap();
        store.migrator().with(MIGRATIONS).up().await.unwrap();
        let client = Client::builder(&shared_redis().await.unwrap()).namespace(namespace()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let uploads = Uploads::new(folder.path(), limit).unwrap();
        Self { store, client, uploads, folder }
    }

    pub(crate) fn app(&self) -> App {
        App { store: self.store.clone(), uploads: self.uploads.clone() }
    }

    pub(crate) async fn begin(&self, text: &[u8]) -> Import {
        let chunks = stream::iter(text.chunks(7777).map(Ok::<_, String>));
        begin(&self.store, &self.client, &self.uploads, "people.csv", chunks).await.unwrap()
    }

    pub(crate) async fn company(&self, name: &str) -> Company {
        create(&self.store, CompanyFields { name: name.into(), domain: None }).await.unwrap()
    }

    /// How many files wait.
    pub(crate) fn files(&self) -> usize {
        self.folder.path().read_dir().unwrap().count()
    }
}

pub(crate) fn contact(name: &str, email: &str) -> ContactFields {
    ContactFields { name: name.into(), email: email.into(), phone: None, company: None }
}

pub(crate) fn deal(company: Id, stage: &str, amount: i64) -> DealFields {
    let (stage, currency) = (stage.into(), "EUR".into());
    DealFields { title: "chairs".into(), company, contact: None, stage, amount, currency }
}
