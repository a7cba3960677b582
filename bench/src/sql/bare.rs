//! The statements by hand: on one held connection, prepared once, on a row of their own in the table of the sessions. In a table of
//! its own it would be found faster, and moved faster in the index of expiries, than one among many.
//!
//! `select` and `update` are the barest. `load` and `swap` are what a store that keeps its promises has to ask for: all columns of
//! a record, and a compare-and-swap of all of them. `change` does one after the other, with payloads that differ: a database
//! reads faster what nobody has changed since, and writes less where nothing differs.

use std::error::Error;

use sqlx::{Connection as _, MySqlConnection, PgConnection, Row as _, SqliteConnection};
use tokio::runtime::Runtime;
use tokio::task::coop::unconstrained;

use crate::rig::runtime;

const ID: [u8; 16] = *b"the bare session";
/// As many bytes as a session's payload has.
const PAYLOAD: [u8; 1_220] = [b'x'; 1_220];

/// Later than any test runs.
const EXPIRES: i64 = 1 << 42;

/// What a load and a save come down to.
pub(super) trait Bare {
    fn select(&mut self, times: u64);
    fn update(&mut self, times: u64);
    fn load(&mut self, times: u64);
    fn swap(&mut self, times: u64);

    fn change(&mut self, times: u64) {
        for _ in 0..times {
            self.load(1);
            self.swap(1);
        }
    }
}

macro_rules! bare {
    ($name:ident, $connection:ty, $user:ty, $insert:literal, $select:literal, $update:literal, $load:literal, $swap:literal) => {
        pub(super) struct $name {
            runtime: Runtime,
            connection: $connection,
            version: i64,
            expires: i64,
        }

        impl $name {
            pub(super) fn connect(url: &str) -> Result<Self, Box<dyn Error>> {
                let runtime = runtime();
                let connection = runtime.block_on(async {
                    let mut connection = <$connection>::connect(url).await?;
                    sqlx::query($insert)
                        .bind(&ID[..])
                        .bind(EXPIRES)
                        .bind(&PAYLOAD[..])
                        .execute(&mut connection)
                        .await?;
                    Ok::<_, sqlx::Error>(connection)
                })?;
                Ok(Self { runtime, connection, version: 1, expires: EXPIRES })
            }
        }

        impl Bare for $name {
            fn select(&mut self, times: u64) {
                self.runtime.block_on(unconstrained(async {
                    for _ in 0..times {
                        let row = sqlx::query($select)
                            .bind(&ID[..])
                            .bind(0_i64)
                            .fetch_one(&mut self.connection)
                            .await
                            .expect("the row is there");
                        assert_eq!(row.get::<Vec<u8>, _>(2).len(), PAYLOAD.len());
                    }
                }));
            }

            fn update(&mut self, times: u64) {
                self.runtime.block_on(unconstrained(async {
                    for _ in 0..times {
                        self.expires += 1;
                        self.version += 1;
                        let done = sqlx::query($update)
                            .bind(self.expires)
                            .bind(&PAYLOAD[..])
                            .bind(&ID[..])
                            .execute(&mut self.connection)
                            .await
                            .expect("the row is there");
                        assert_eq!(done.rows_affected(), 1);
                    }
                }));
            }

            fn load(&mut self, times: u64) {
                self.runtime.block_on(unconstrained(async {
                    for _ in 0..times {
                        let row = sqlx::query($load)
                            .bind(&ID[..])
                            .bind(0_i64)
                            .fetch_one(&mut self.connection)
                            .await
                            .expect("the row is there");
                        assert_eq!(row.get::<i64, _>(0), self.version);
                        assert_eq!(row.get::<Option<$user>, _>(1), None);
                        assert_eq!(row.get::<i64, _>(2), self.expires);
                        assert_eq!(row.get::<Vec<u8>, _>(3).len(), PAYLOAD.len());
                    }
                }));
            }

            fn swap(&mut self, times: u64) {
                self.runtime.block_on(unconstrained(async {
                    for _ in 0..times {
                        self.expires += 1;
                        self.version += 1;
                        let mut payload = PAYLOAD;
                        payload[PAYLOAD.len() / 2..][..8].copy_from_slice(&self.version.to_be_bytes());
                        let done = sqlx::query($swap)
                            .bind(self.version)
                            .bind(None::<$user>)
                            .bind(self.expires)
                            .bind(&payload[..])
                            .bind(&ID[..])
                            .bind(self.version - 1)
                            .bind(0_i64)
                            .execute(&mut self.connection)
                            .await
                            .expect("the row is there");
                        assert_eq!(done.rows_affected(), 1);
                    }
                }));
            }
        }
    };
}

bare!(
    PostgresBare,
    PgConnection,
    String,
    "INSERT INTO cloakroom_sessions (id, version, expires_at, payload) VALUES ($1, 1, $2, $3)",
    "SELECT version, expires_at, payload FROM cloakroom_sessions WHERE id = $1 AND expires_at > $2",
    "UPDATE cloakroom_sessions SET version = version + 1, expires_at = $1, payload = $2 WHERE id = $3",
    "SELECT version, user_id, expires_at, payload FROM cloakroom_sessions WHERE id = $1 AND expires_at > $2",
    "UPDATE cloakroom_sessions SET version = $1, user_id = $2, expires_at = $3, payload = $4 \
     WHERE id = $5 AND version = $6 AND expires_at + 0 > $7"
);
bare!(
    MySqlBare,
    MySqlConnection,
    Vec<u8>,
    "INSERT INTO cloakroom_sessions (id, version, expires_at, payload) VALUES (?, 1, ?, ?)",
    "SELECT version, expires_at, payload FROM cloakroom_sessions WHERE id = ? AND expires_at > ?",
    "UPDATE cloakroom_sessions SET version = version + 1, expires_at = ?, payload = ? WHERE id = ?",
    "SELECT version, user_id, expires_at, payload FROM cloakroom_sessions WHERE id = ? AND expires_at > ?",
    "UPDATE cloakroom_sessions SET version = ?, user_id = ?, expires_at = ?, payload = ? \
     WHERE id = ? AND version = ? AND expires_at + 0 > ?"
);
bare!(
    SqliteBare,
    SqliteConnection,
    String,
    "INSERT INTO cloakroom_sessions (id, version, expires_at, payload) VALUES (?, 1, ?, ?)",
    "SELECT version, expires_at, payload FROM cloakroom_sessions WHERE id = ? AND expires_at > ?",
    "UPDATE cloakroom_sessions SET version = version + 1, expires_at = ?, payload = ? WHERE id = ?",
    "SELECT version, user_id, expires_at, payload FROM cloakroom_sessions WHERE id = ? AND expires_at > ?",
    "UPDATE cloakroom_sessions SET version = ?, user_id = ?, expires_at = ?, payload = ? \
     WHERE id = ? AND version = ? AND expires_at + 0 > ?"
);
