//! The statements by hand: on one held connection, prepared once, on a table of the same shape.

use std::error::Error;

use sqlx::{Connection as _, MySqlConnection, PgConnection, Row as _, SqliteConnection};
use tokio::runtime::Runtime;
use tokio::task::coop::unconstrained;

use crate::rig::runtime;

/// Made by the store's own `create_schema`.
pub(super) const TABLE: &str = "bare";

const ID: [u8; 16] = *b"the bare session";
const PAYLOAD: [u8; 1_080] = [b'x'; 1_080];

/// Later than any test runs.
const EXPIRES: i64 = 1 << 42;

/// What a load and a save come down to.
pub(super) trait Bare {
    fn select(&mut self, times: u64);
    fn update(&mut self, times: u64);
}

macro_rules! bare {
    ($name:ident, $connection:ty, $insert:literal, $select:literal, $update:literal) => {
        pub(super) struct $name {
            runtime: Runtime,
            connection: $connection,
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
                Ok(Self { runtime, connection, expires: EXPIRES })
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
        }
    };
}

bare!(
    PostgresBare,
    PgConnection,
    "INSERT INTO bare (id, version, expires_at, payload) VALUES ($1, 1, $2, $3)",
    "SELECT version, expires_at, payload FROM bare WHERE id = $1 AND expires_at > $2",
    "UPDATE bare SET version = version + 1, expires_at = $1, payload = $2 WHERE id = $3"
);
bare!(
    MySqlBare,
    MySqlConnection,
    "INSERT INTO bare (id, version, expires_at, payload) VALUES (?, 1, ?, ?)",
    "SELECT version, expires_at, payload FROM bare WHERE id = ? AND expires_at > ?",
    "UPDATE bare SET version = version + 1, expires_at = ?, payload = ? WHERE id = ?"
);
bare!(
    SqliteBare,
    SqliteConnection,
    "INSERT INTO bare (id, version, expires_at, payload) VALUES (?, 1, ?, ?)",
    "SELECT version, expires_at, payload FROM bare WHERE id = ? AND expires_at > ?",
    "UPDATE bare SET version = version + 1, expires_at = ?, payload = ? WHERE id = ?"
);
