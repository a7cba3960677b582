//! `cloakroom stats`: how many sessions there are, and of what kind.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cloakroom::store::{NoSummary, Record, Timestamp};
use serde_json::json;

use crate::failure::Failure;
use crate::output::{self, Output, number, plain, table};
use crate::source::Source;
use crate::{progress, walk};

#[derive(Default)]
struct Stats {
    users: HashSet<Arc<str>>,
    live: Count,
    /// By application and name; `None` for those of which only the application can say it.
    kinds: BTreeMap<Option<(Arc<str>, String)>, Count>,
    largest: u64,
    sealed: u64,
    expired: u64,
    unreadable: u64,
    /// Marks of logouts during a migration.
    tombstones: u64,
}

#[derive(Default)]
struct Count {
    sessions: u64,
    logged_in: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, record: &Record, bytes: u64) {
        self.sessions += 1;
        self.logged_in += u64::from(record.user.is_some());
        self.bytes += bytes;
    }
}

pub(crate) async fn run(store: &Source) -> Result<Output, Failure> {
    let (url, store) = (store.url()?, store.open().await?);
    let (now, progress, mut stats) = (output::now(), progress::counting("sessions"), Stats::default());
    walk::pages(&*store, async |records, unreadable| {
        progress.inc(records.len() as u64);
        stats.unreadable += unreadable.len() as u64;
        records.iter().try_for_each(|record| stats.add(record, now))
    })
    .await?;
    progress.finish_and_clear();
    Ok(Output::new(format!("{url}\n{}", stats.text()), stats.json(&url.to_string())))
}

impl Stats {
    fn add(&mut self, record: &Record, now: Timestamp) -> Result<(), Failure> {
        if record.id.as_uuid().get_version_num() != 4 {
            return Ok(());
        }
        let summary = record.summary();
        match &summary {
            Err(NoSummary::Tombstone) => {
                self.tombstones += 1;
                return Ok(());
            }
            _ if !record.is_live(now) => {
                self.expired += 1;
                return Ok(());
            }
            Err(NoSummary::Sealed) => self.sealed += 1,
            Err(_) => {
                self.unreadable += 1;
                return Ok(());
            }
            Ok(_) => {}
        }
        let bytes = record.payload.to_bytes()?.len() as u64;
        self.live.add(record, bytes);
        self.largest = self.largest.max(bytes);
        self.users.extend(record.user.clone());
        let kind = summary.ok().map(|summary| (summary.namespace, summary.name));
        self.kinds.entry(kind).or_default().add(record, bytes);
        Ok(())
    }

    fn text(&self) -> String {
        let live = &self.live;
        let row = |name: &str, count: u64, note: String| vec![name.to_owned(), number(count), note];
        let mean = live.bytes.checked_div(live.sessions).unwrap_or(0);
        let totals = [
            row("live", live.sessions, String::new()),
            row("logged in", live.logged_in, format!("{} users", number(self.users.len() as u64))),
            row("sealed", self.sealed, String::new()),
            row("expired", self.expired, "to be swept".into()),
            row("unreadable", self.unreadable, String::new()),
            row("tombstones", self.tombstones, "of logouts during a migration".into()),
            row("bytes", live.bytes, format!("{} on average, {} at most", number(mean), number(self.largest))),
        ];
        let always = ["live", "logged in", "bytes"];
        let totals: Vec<_> =
            totals.into_iter().filter(|row| row[1] != "0" || always.contains(&row[0].as_str())).collect();
        format!("\n{}\n{}", table(&totals), self.kinds_as_text())
    }

    fn kinds_as_text(&self) -> String {
        let mut rows = vec![["application", "name", "live", "logged in", "bytes"].map(str::to_owned).to_vec()];
        for (kind, count) in &self.kinds {
            let (namespace, name) = match kind {
                Some((namespace, name)) if namespace.is_empty() => ("-".to_owned(), plain(name)),
                Some((namespace, name)) => (plain(namespace), plain(name)),
                None => ("(sealed)".to_owned(), "-".to_owned()),
            };
            let [sessions, logged_in, bytes] = [count.sessions, count.logged_in, count.bytes].map(number);
            rows.push(vec![namespace, name, sessions, logged_in, bytes]);
        }
        table(&rows)
    }

    fn json(&self, store: &str) -> serde_json::Value {
        let kinds = self.kinds.iter().map(|(kind, count)| {
            json!({
                "namespace": kind.as_ref().map(|(namespace, _)| &**namespace),
                "name": kind.as_ref().map(|(_, name)| name),
                "live": count.sessions,
                "logged_in": count.logged_in,
                "bytes": count.bytes,
            })
        });
        json!({
            "store": store,
            "live": self.live.sessions,
            "logged_in": self.live.logged_in,
            "users": self.users.len(),
            "bytes": self.live.bytes,
            "largest": self.largest,
            "sealed": self.sealed,
            "expired": self.expired,
            "unreadable": self.unreadable,
            "tombstones": self.tombstones,
            "kinds": kinds.collect::<Vec<_>>(),
        })
    }
}
