//! Books to test with.

use finance::{Account, MIGRATIONS, NewAccount, NewTransfer, Transfer, open, transfer};
use millstream_store::{Data, List, Store};
use millstream_tests::Database;

pub(crate) async fn books(database: &Database) -> Store {
    let store = Store::connect(&database.url).await.unwrap();
    store.migrator().with(MIGRATIONS).up().await.unwrap();
    store
}

pub(crate) fn account(name: &str) -> NewAccount {
    NewAccount { name: name.into(), kind: "asset".into(), currency: "EUR".into(), may_overdraw: false }
}

/// An account out of which money comes, and one with so much in it.
pub(crate) async fn funded(store: &Store, amount: i64) -> (Account, Account) {
    let source = NewAccount { kind: "equity".into(), may_overdraw: true, ..account("source") };
    let (source, wallet) = (open(store, source).await.unwrap(), open(store, account("wallet")).await.unwrap());
    transfer(store, order(&source, &wallet, amount)).await.unwrap();
    (source, wallet)
}

pub(crate) fn order(from: &Account, to: &Account, amount: i64) -> NewTransfer {
    NewTransfer { from: from.id.0, to: to.id.0, amount, memo: "test".into(), key: None }
}

pub(crate) async fn balance(store: &Store, account: &Account) -> i64 {
    store.get::<Account>(account.id).await.unwrap().unwrap().balance
}

/// Every balance is the sum of its lines, and all together are nothing.
pub(crate) async fn assert_balanced(store: &Store) {
    let accounts = store.list::<Account>(List::new().limit(1000)).await.unwrap().rows;
    for account in &accounts {
        let lines = List::new().filter("account", millstream_store::Op::Eq, account.id);
        let sum = store.summary::<finance::Line>(lines, "amount").await.unwrap().sum.unwrap_or(0);
        assert_eq!(account.balance, sum, "{}", account.name);
    }
    assert_eq!(accounts.iter().map(|account| account.balance).sum::<i64>(), 0);
}

pub(crate) async fn transfers(store: &Store) -> u64 {
    store.count::<Transfer>(List::new()).await.unwrap()
}
