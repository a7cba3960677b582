//! `cloakroom show`: one session.

use cloakroom::SessionId;
use cloakroom::store::{Record, RecordSummary};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::list::json_of;
use crate::output::{self, Output, from_now, number, plain, table, time};
use crate::source::Source;

pub(crate) async fn run(store: &Source, id: SessionId, values: bool) -> Result<Output, Failure> {
    let found = store.open().await?.load(id, output::now()).await?;
    let record = found.ok_or_else(Failure::no_such_session)?;
    let size = record.payload.to_bytes()?.len();
    let (life, mut json) = (life(&record, size), json_of(&record));
    json["payload_bytes"] = size.into();
    let data = match record.summary() {
        Ok(summary) => {
            json["data"] = data_as_json(&summary, values)?;
            data(&summary, values)
        }
        Err(why) => format!("{why}: of its data nothing can be shown\n"),
    };
    Ok(Output::new(format!("{life}\n{data}"), json))
}

fn life(record: &Record, size: usize) -> String {
    let now = output::now();
    let at = |at| format!("{} ({})", time(at), from_now(at, now));
    let mut rows = vec![("session", record.id.to_string())];
    let summary = record.summary().ok();
    if let Some(summary) = &summary {
        rows.push(("application", if summary.namespace.is_empty() { "-".into() } else { plain(&summary.namespace) }));
        rows.push(("name", plain(&summary.name)));
    }
    rows.push(("user", record.user.as_deref().map_or("-".into(), plain)));
    if let Some(summary) = &summary {
        rows.push(("label", summary.label.as_deref().map_or("-".into(), plain)));
        rows.push(("created", at(summary.created_at)));
        rows.push(("logged in", summary.logged_in_at.map_or("-".into(), at)));
    }
    rows.push(("expires", at(record.expires_at)));
    if let Some(summary) = &summary {
        rows.push(("at the latest", at(summary.deadline)));
    }
    rows.push(("version", record.version.to_string()));
    rows.push(("size", format!("{} bytes", number(size as u64))));
    table(&rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect::<Vec<_>>())
}

fn data(summary: &RecordSummary, values: bool) -> String {
    let mut rows = vec![vec!["key".to_owned(), "bytes".to_owned()]];
    for (key, value) in summary.members() {
        let mut row = vec![shown(&key), number(value.len() as u64)];
        if values {
            row.push(plain(value));
        }
        rows.push(row);
    }
    if rows.len() == 1 { "its data are empty\n".to_owned() } else { table(&rows) }
}

/// Flash values have no name that an application could give.
fn shown(key: &str) -> String {
    if key.is_empty() { "(flash)".to_owned() } else { plain(key) }
}

fn data_as_json(summary: &RecordSummary, values: bool) -> Result<Value, Failure> {
    let mut data = Map::new();
    for (key, value) in summary.members() {
        let mut entry = json!({ "bytes": value.len() });
        if values {
            entry["value"] = serde_json::from_str(value).map_err(|error| Failure::undone(error.to_string()))?;
        }
        data.insert(key.into_owned(), entry);
    }
    Ok(data.into())
}
