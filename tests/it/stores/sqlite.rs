use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cloakroom::store::{CreateOutcome, Payload, Record, SaveOutcome, StoreErrorKind};
use cloakroom::testing::conformance;
use cloakroom::{SessionStore, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};

use super::sql::{self, NOW};

async fn open(folder: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(folder.path().join("sessions.db")).await.unwrap()
}

async fn pool(path: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(30));
    SqlitePoolOptions::new().max_connections(4).connect_with(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    conformance::check(async || open(&folder).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_with_a_pool() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder.path().join("sessions.db")).await;
    conformance::check(async || {
        let store = SqliteStore::with_pool(pool.clone());
        store.create_schema().await.unwrap();
        store
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_in_memory_on_one_connection() {
    let options = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let pool = options.connect("sqlite::memory:").await.unwrap();
    conformance::check(async || {
        let store = SqliteStore::with_pool(pool.clone());
        store.create_schema().await.unwrap();
        store
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn table_names_are_checked_and_keep_sessions_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    sql::refuses_bad_names(&store, SqliteStore::table);
    sql::a_missing_table_is_no_outage(store.clone().table("missing").unwrap()).await;
    let (one, other) = (store.clone().table("main.select").unwrap(), store.table("Other_2").unwrap());
    one.create_schema().await.unwrap();
    one.create_schema().await.unwrap();
    other.create_schema().await.unwrap();
    sql::tables_are_separate(one, other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_calls_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    sql::cancelled_calls_do_no_harm(open(&folder).await.max_readers(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_calls_do_no_harm_to_a_pool() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::with_pool(pool(&folder.path().join("sessions.db")).await);
    store.create_schema().await.unwrap();
    sql::cancelled_calls_do_no_harm(store).await;
}

#[tokio::test]
async fn a_path_that_cannot_be_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for path in [Path::new(""), Path::new(":memory:"), folder.path(), &folder.path().join("no/such/folder.db")] {
        assert_eq!(SqliteStore::open(path).await.unwrap_err().kind(), StoreErrorKind::Other, "{path:?}");
    }
    // Whoever starts the application sees what to mend.
    let told = async |path: &str| {
        let error = SqliteStore::open(path).await.unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };
    assert!(told("sqlite://sessions.db").await.contains("StoreUrl"));
    let missing = told("no/such/folder.db").await;
    assert!(missing.contains("no/such/folder.db") && missing.contains("folder has to exist"), "{missing}");
    let no_database = folder.path().join("text");
    std::fs::write(&no_database, "this is no database, and long enough to be looked at as one").unwrap();
    assert_eq!(SqliteStore::open(&no_database).await.unwrap_err().kind(), StoreErrorKind::Other);
}

#[tokio::test]
#[cfg(unix)]
async fn the_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let _ = store.create(&sql::record(1, 1), NOW).await.unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        files += 1;
    }
    assert_eq!(files, 3, "the database, its log, its index");
}

/// The queries use the indices that the schema makes.
#[tokio::test]
async fn no_query_scans_the_table() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder).await);
    let pool = pool(&folder.path().join("sessions.db")).await;
    let of_one = ["id = ? AND expires_at > ?", "id = ? AND expires_at + 0 <= ?"];
    for condition in of_one.into_iter().chain(["user_id = ? AND expires_at > ?", "expires_at <= ?"]) {
        let text = format!("EXPLAIN QUERY PLAN SELECT id FROM cloakroom_sessions WHERE {condition}");
        let row: (i64, i64, i64, String) = sqlx::query_as(sqlx::AssertSqlSafe(text)).fetch_one(&pool).await.unwrap();
        assert!(row.3.starts_with("SEARCH") && row.3.contains("INDEX"), "{condition}: {}", row.3);
    }
}

/// A file system of 512 kB, where the tests may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "none"]).arg(folder.path()).output();
        if !mount.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: no file system can be mounted here");
            return None;
        }
        Some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// Fault REL-06.
#[tokio::test]
async fn a_full_disk_fails_saves_and_no_logouts() {
    let Some(disk) = SmallDisk::new() else { return };
    let store = open(&disk.0).await;
    let records: Vec<Record> = (0..20).map(|number| sql::record(number, 1)).collect();
    for record in &records {
        let _ = store.create(record, NOW).await.unwrap();
    }
    let mut connection = pool(&disk.0.path().join("sessions.db")).await.acquire().await.unwrap();
    sqlx::query("PRAGMA wal_checkpoint(RESTART)").execute(&mut *connection).await.unwrap();
    let mut filler = std::fs::File::create(disk.0.path().join("filler")).unwrap();
    while filler.write_all(&[0; 4_096]).is_ok() {}

    let mut saved = records[0].clone();
    let error = loop {
        let next = Record { version: saved.version + 1, ..saved.clone() };
        match store.save(&next, saved.version, NOW).await {
            Ok(outcome) => assert_eq!(outcome, SaveOutcome::Saved),
            Err(error) => break error,
        }
        saved = next;
    };
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    assert_eq!(store.load(saved.id, NOW).await.unwrap().unwrap().version, saved.version);
    for record in &records {
        store.delete(record.id).await.unwrap();
        assert!(store.load(record.id, NOW).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn the_docs_show_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let other = store.clone().table("a.b").unwrap();
    sql::the_docs_show_the_schema(&store.schema(), include_str!("../../../src/store/sql/sqlite.rs"), &other.schema());
}

/// The process that is killed.
const WRITER: &str = "CLOAKROOM_TEST_SQLITE_WRITER";
const WRITERS: u64 = 4;

/// A record whose payload tells whether it is whole: its version, again and again, for up to 40 kB.
fn filled(number: u64, version: u64) -> Record {
    let words = 1 + usize::try_from(version * 7 % 5_000).unwrap();
    Record { payload: Payload::from_bytes(version.to_be_bytes().repeat(words)), ..sql::record(number, version) }
}

/// A test of its own only for the process that [`sigkill_leaves_every_record_whole`] starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer() {
    let Some(path) = std::env::var_os(WRITER) else { return };
    let store = SqliteStore::open(Path::new(&path)).await.unwrap();
    let say = |what: &str, number: u64, version: u64| {
        // One line, one write.
        std::io::stdout().lock().write_all(format!("\nack {what} {number} {version}\n").as_bytes()).unwrap();
    };
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..WRITERS {
        let store = store.clone();
        tasks.spawn(async move {
            let stored = store.load(filled(number, 1).id, NOW).await.unwrap();
            let mut version = stored.map_or(0, |record| record.version);
            if version == 0 {
                version = 1;
                assert_eq!(store.create(&filled(number, 1), NOW).await.unwrap(), CreateOutcome::Created);
            }
            loop {
                let saved = store.save(&filled(number, version + 1), version, NOW).await.unwrap();
                assert_eq!(saved, SaveOutcome::Saved);
                version += 1;
                say("saved", number, version);
            }
        });
    }
    tasks.spawn(async move {
        for number in (1 << 20) * u64::from(std::process::id()).. {
            assert_eq!(store.create(&filled(number, 1), NOW).await.unwrap(), CreateOutcome::Created);
            store.delete(filled(number, 1).id).await.unwrap();
            say("gone", number, 0);
        }
    });
    tasks.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_leaves_every_record_whole() {
    let rounds: u32 = std::env::var("CLOAKROOM_TEST_ROUNDS").map_or(200, |rounds| rounds.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.db");
    let mut most = 0;
    for round in 0..rounds {
        let run = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || run_and_kill(&path, Duration::from_millis(u64::from(round % 40))))
        };
        let (saved, gone) = run.await.unwrap();
        let store = open(&folder).await;
        for number in 0..WRITERS {
            let Some(found) = store.load(filled(number, 1).id, NOW).await.unwrap() else {
                assert!(!saved.contains_key(&number), "round {round}: record {number} is lost");
                continue;
            };
            let acknowledged = saved.get(&number).copied().unwrap_or(0);
            assert!(
                found.version >= acknowledged,
                "round {round}: {acknowledged} was saved, {} is there",
                found.version
            );
            let whole = filled(number, found.version).payload.to_bytes().unwrap();
            assert_eq!(found.payload.to_bytes().unwrap(), whole, "round {round}");
            most = most.max(found.version);
        }
        for number in gone {
            assert!(
                store.load(filled(number, 1).id, NOW).await.unwrap().is_none(),
                "round {round}: back from the dead"
            );
        }
    }
    assert!(most > u64::from(rounds), "the writers hardly wrote: {most} saves in {rounds} rounds");
}

/// Starts the writer, kills it a while after its first save. What it acknowledged: the last versions, and the deleted ones.
fn run_and_kill(path: &Path, delay: Duration) -> (HashMap<u64, u64>, Vec<u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stores::sqlite::writer", "--nocapture"])
        .env(WRITER, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut saved, mut gone, mut kill_at) = (HashMap::new(), Vec::new(), None);
    for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
        let line = String::from_utf8(line.unwrap()).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        if let ["ack", what, number, version] = words[..]
            && let (Ok(number), Ok(version)) = (number.parse(), version.parse())
        {
            let kill_at = *kill_at.get_or_insert_with(|| Instant::now() + delay);
            if what == "saved" {
                saved.insert(number, version);
            } else {
                gone.push(number);
            }
            if Instant::now() >= kill_at {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    (saved, gone)
}
