//! Who may log in. Nothing here knows of sessions: they carry the account's id, and that is all they share.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use cloakroom::Key;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};

/// Names and passwords of the accounts that are there from the start. The second one is the administrator's.
pub const DEMO: [(&str, &str); 2] = [("ada", "analytical engine"), ("grace", "nanoseconds of wire")];

/// At least so many characters (ASVS 6.2.1). Many more would be the hash's work.
pub const PASSWORD_LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

/// The account as its sessions know it, for what pages show. What it may do is asked of [`Accounts`].
pub const ACCOUNT: Key<Account> = Key::new("account");

#[derive(Clone, Serialize, Deserialize)]
pub struct Account {
    /// Names the user to the session, for ever. A name could be changed.
    pub id: String,
    pub name: String,
    pub is_admin: bool,
}

/// Of the table's columns.
type Row = (String, String, bool);

impl From<Row> for Account {
    fn from((id, name, is_admin): Row) -> Self {
        Self { id, name, is_admin }
    }
}

/// A table in SQLite.
#[derive(Clone)]
pub struct Accounts(SqlitePool);

impl Accounts {
    /// Opens the file, and makes it with the demo accounts in it if it is not there.
    pub async fn open(file: impl AsRef<Path>) -> sqlx::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            // As the store of sessions, which may be in the same file.
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        let accounts = Self(pool);
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS accounts \
             (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, password TEXT NOT NULL, is_admin BOOLEAN NOT NULL)",
        )
        .execute(&accounts.0)
        .await?;
        let (number,): (i64,) = sqlx::query_as("SELECT count(*) FROM accounts").fetch_one(&accounts.0).await?;
        if number == 0 {
            for (name, password) in DEMO {
                accounts.create(name, password, name == "grace").await?;
            }
        }
        Ok(accounts)
    }

    /// `None` if the name is taken.
    pub async fn sign_up(&self, name: &str, password: &str) -> sqlx::Result<Option<Account>> {
        self.create(name, password, false).await
    }

    /// The account, if the password is right. To find out takes as long for names that nobody has.
    pub async fn check(&self, name: &str, password: &str) -> sqlx::Result<Option<Account>> {
        let stored: Option<(String,)> =
            sqlx::query_as("SELECT password FROM accounts WHERE name = ?").bind(name).fetch_optional(&self.0).await?;
        let hash = stored.map_or_else(|| NOBODYS.clone(), |(hash,)| hash);
        if !is_hashed_as(password, hash).await {
            return Ok(None);
        }
        self.one("SELECT CAST(number AS TEXT), name, is_admin FROM accounts WHERE name = ?", name).await
    }

    pub async fn by_id(&self, id: &str) -> sqlx::Result<Option<Account>> {
        self.one("SELECT CAST(number AS TEXT), name, is_admin FROM accounts WHERE number = ?", id).await
    }

    pub async fn all(&self) -> sqlx::Result<Vec<Account>> {
        let rows = sqlx::query_as("SELECT CAST(number AS TEXT), name, is_admin FROM accounts ORDER BY name");
        Ok(rows.fetch_all(&self.0).await?.into_iter().map(|row: Row| row.into()).collect())
    }

    pub async fn change_password(&self, id: &str, password: &str) -> sqlx::Result<()> {
        let hash = hash(password).await;
        sqlx::query("UPDATE accounts SET password = ? WHERE number = ?").bind(hash).bind(id).execute(&self.0).await?;
        Ok(())
    }

    async fn create(&self, name: &str, password: &str, is_admin: bool) -> sqlx::Result<Option<Account>> {
        let hash = hash(password).await;
        let row: Option<Row> = sqlx::query_as(
            "INSERT INTO accounts (name, password, is_admin) VALUES (?, ?, ?) ON CONFLICT DO NOTHING \
             RETURNING CAST(number AS TEXT), name, is_admin",
        )
        .bind(name)
        .bind(hash)
        .bind(is_admin)
        .fetch_optional(&self.0)
        .await?;
        Ok(row.map(Account::from))
    }

    async fn one(&self, query: &'static str, key: &str) -> sqlx::Result<Option<Account>> {
        let row: Option<Row> = sqlx::query_as(query).bind(key).fetch_optional(&self.0).await?;
        Ok(row.map(Account::from))
    }
}

/// The hash of a password that nobody has.
static NOBODYS: LazyLock<String> = LazyLock::new(|| hash_now("a password that is nobody's"));

/// Away from the threads that serve requests: it takes time by design.
async fn hash(password: &str) -> String {
    let password = password.to_owned();
    in_the_background(move || hash_now(&password)).await
}

async fn is_hashed_as(password: &str, hash: String) -> bool {
    let password = password.to_owned();
    in_the_background(move || Argon2::default().verify_password(password.as_bytes(), &*hash).is_ok()).await
}

fn hash_now(password: &str) -> String {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.expect("the parameters are the defaults, and the system has random bytes").to_string()
}

async fn in_the_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("hashing does not panic, and the runtime lives as long as the request")
}
