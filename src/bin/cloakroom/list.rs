//! `cloakroom list`: the sessions of a user.

use std::cmp::Reverse;

use cloakroom::store::Record;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{self, Output, plain, table, time, unix_seconds};
use crate::source::Source;

pub(crate) async fn run(store: &Source, user: &str) -> Result<Output, Failure> {
    let store = store.open().await?;
    let index = store.user_index().ok_or_else(no_user_index)?;
    let mut records = index.records_of(user, output::now()).await?;
    records.sort_by_cached_key(|record| {
        Reverse((record.summary().ok().and_then(|summary| summary.logged_in_at), record.id))
    });
    let text = if records.is_empty() {
        "this user has no sessions\n".to_owned()
    } else {
        let head = ["id", "application", "name", "logged in", "expires", "label"].map(str::to_owned).to_vec();
        table(&std::iter::once(head).chain(records.iter().map(row)).collect::<Vec<_>>())
    };
    Ok(Output::new(text, records.iter().map(json_of).collect()))
}

pub(crate) fn no_user_index() -> Failure {
    Failure::undone("this store cannot find the sessions of a user: nobody can with Memcached".into())
}

fn row(record: &Record) -> Vec<String> {
    let (id, expires) = (record.id.to_string(), time(record.expires_at));
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { plain(text) };
    match record.summary() {
        Ok(summary) => {
            let logged_in = summary.logged_in_at.map_or("-".to_owned(), time);
            let label = or_dash(summary.label.as_deref().unwrap_or_default());
            vec![id, or_dash(&summary.namespace), plain(&summary.name), logged_in, expires, label]
        }
        Err(why) => vec![id, "-".into(), "-".into(), "-".into(), expires, format!("({why})")],
    }
}

pub(crate) fn json_of(record: &Record) -> Value {
    let summary = record.summary();
    let error = summary.as_ref().err().map(ToString::to_string);
    let summary = summary.ok();
    json!({
        "id": record.id,
        "user": record.user.as_deref(),
        "version": record.version,
        "expires_at": unix_seconds(record.expires_at),
        "namespace": summary.as_ref().map(|summary| &*summary.namespace),
        "name": summary.as_ref().map(|summary| &*summary.name),
        "created_at": summary.as_ref().map(|summary| unix_seconds(summary.created_at)),
        "logged_in_at": summary.as_ref().and_then(|summary| summary.logged_in_at).map(unix_seconds),
        "deadline": summary.as_ref().map(|summary| unix_seconds(summary.deadline)),
        "persistent": summary.as_ref().map(|summary| summary.persistent),
        "label": summary.as_ref().and_then(|summary| summary.label.as_deref()),
        "unreadable": error,
    })
}
