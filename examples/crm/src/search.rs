use millstream_store::{Data, List, Store};
use serde::Serialize;

use crate::{Company, Contact, CrmError, Deal};

/// Most rows of a kind.
const MOST: u32 = 20;

/// What a search found, at most 20 of each; lists with `q` go through all.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    pub contacts: Vec<Contact>,
    pub companies: Vec<Company>,
    pub deals: Vec<Deal>,
}

/// Looks for a text in names, emails, phones, domains and titles.
pub async fn search(store: &Store, text: &str) -> Result<Found, CrmError> {
    let list = List::new().search(text.trim()).limit(MOST);
    let (contacts, companies, deals) = (store.list(list.clone()), store.list(list.clone()), store.list(list));
    Ok(Found { contacts: contacts.await?.rows, companies: companies.await?.rows, deals: deals.await?.rows })
}
