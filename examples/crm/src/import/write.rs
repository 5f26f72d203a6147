//! Writes a batch of rows: contacts, their companies, bad rows and the import's counts, all or nothing.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use millstream_store::{Data, Id, Isolation, List, Store, Time, Tx};

use super::{
    BadRow, Import,
    rows::{Person, Row},
};
use crate::{Company, Contact, CrmError, record::is_taken};

/// Most rows of a batch; not more values than a list's filter takes.
pub(super) const BATCH: usize = 1000;
/// How often someone else may have written one of the batch's emails or companies a moment before.
const TRIES: u32 = 5;

/// Writes rows behind those that are written, and says that it was the last batch where it was. The import's version sees to
/// it that of two runs of the same import only one writes them.
pub(super) async fn write(store: &Store, import: &Import, rows: Vec<Row>, is_last: bool) -> Result<Import, CrmError> {
    let (rows, mut tries): (Arc<[Row]>, _) = (rows.into(), 1);
    loop {
        let (rows, import) = (rows.clone(), import.clone());
        let attempt = async move |tx: Tx| batch(&tx, &import, &rows, is_last).await;
        match store.transaction_at(Isolation::ReadCommitted, attempt).await {
            // The next attempt sees it.
            Err(error) if is_taken(&error) && tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

async fn batch(tx: &Tx, import: &Import, rows: &[Row], is_last: bool) -> Result<Import, CrmError> {
    let emails = rows.iter().filter_map(|row| row.person.as_ref().ok()).map(|person| &*person.email);
    let emails: HashSet<&str> = emails.collect();
    let known = tx.list::<Contact>(List::new().any_of("email", emails).limit(BATCH as u32)).await?.rows;
    let mut owners: HashMap<&str, Option<Id>> = known.iter().map(|known| (&*known.email, known.import)).collect();

    let (mut people, mut bad) = (Vec::new(), Vec::new());
    for Row { number, line, person } in rows {
        let new = person.as_ref().map_err(String::clone).and_then(|person| match owners.get(&*person.email) {
            Some(owner) if *owner == Some(import.id) => Err(format!("{} is in the file before", person.email)),
            Some(_) => Err(format!("{} is a contact already", person.email)),
            None => Ok(person),
        });
        match new {
            Ok(person) => {
                owners.insert(&person.email, Some(import.id));
                people.push((*number, person));
            }
            Err(reason) => bad.push(BadRow { id: Id::new(), import: import.id, number: *number, line: *line, reason }),
        }
    }
    let companies = companies(tx, people.iter().filter_map(|(_, person)| person.company.as_deref()).collect()).await?;
    let contacts = people.iter().map(|(number, person)| contact(import.id, *number, person, &companies));
    let contacts: Vec<_> = contacts.collect();

    let mut import = Import {
        state: "running".into(),
        rows: import.rows + rows.len() as i64,
        imported: import.imported + contacts.len() as i64,
        bad: import.bad + bad.len() as i64,
        ..import.clone()
    };
    if is_last {
        import = import.ended("done");
    }
    // Before the rows: of two runs the later one ends here.
    let import = tx.update(&import).await?;
    tx.insert_many(contacts).await?;
    tx.insert_many(bad).await?;
    Ok(import)
}

/// The companies of these names; those that are not there are made.
async fn companies(tx: &Tx, names: HashSet<&str>) -> Result<HashMap<String, Id>, CrmError> {
    let known = List::new().any_of("name", names.iter().copied()).limit(BATCH as u32);
    let known = tx.list::<Company>(known).await?.rows;
    let mut ids: HashMap<String, Id> = known.into_iter().map(|company| (company.name, company.id)).collect();
    let missing = names.into_iter().filter(|name| !ids.contains_key(*name));
    let new = missing.map(|name| Company { id: Id::new(), name: name.to_owned(), ..Company::default() });
    let new: Vec<_> = new.collect();
    ids.extend(new.iter().map(|company| (company.name.clone(), company.id)));
    tx.insert_many(new).await?;
    Ok(ids)
}

fn contact(import: Id, number: i64, person: &Person, companies: &HashMap<String, Id>) -> Contact {
    Contact {
        id: Id::new(),
        version: 0,
        name: person.name.clone(),
        email: person.email.clone(),
        phone: person.phone.clone(),
        company: person.company.as_ref().and_then(|name| companies.get(name)).copied(),
        import: Some(import),
        import_row: Some(number),
        created_at: Time::default(),
        updated_at: Time::default(),
        deleted_at: None,
    }
}
