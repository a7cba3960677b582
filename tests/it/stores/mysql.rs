use std::time::{Duration, Instant};

use cloakroom::store::{Payload, StoreErrorKind};
use cloakroom::{MysqlStore, SessionStore};
use sqlx::Connection as _;
use sqlx::mysql::{MySqlConnection, MySqlPoolOptions};

use super::sql::{self, NOW};
use crate::support::server::{self, Server};

/// The URL of a database for the tests. The server's own ones are no place for tables.
pub async fn database(server: &Server) -> String {
    let url = format!("mysql://root@127.0.0.1:{}", server.port);
    let started = Instant::now();
    let mut connection = loop {
        match MySqlConnection::connect(&url).await {
            Ok(connection) => break connection,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(30), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    sqlx::raw_sql("CREATE DATABASE IF NOT EXISTS sessions").execute(&mut connection).await.unwrap();
    url + "/sessions"
}

sql::tests! {
    store: MysqlStore,
    pool: MySqlPoolOptions,
    server: server::mariadb,
    schema: "sessions",
    source: "../../../src/store/sql/mysql.rs",
    nowhere: "mysql://nobody@127.0.0.1/nothing",
}

#[tokio::test]
async fn a_user_that_is_too_long_is_refused() {
    let Some(url) = shared().await else { return };
    let store = store(&url, "long_user").await;
    let mut record = sql::record(1, 1);
    record.user = Some("\u{e4}".repeat(512).into());
    let _ = store.create(&record, NOW).await.unwrap();
    let user = record.user.clone().unwrap();
    assert_eq!(store.user_index().unwrap().records_of(&user, NOW).await.unwrap().len(), 1);
    record.user = Some(format!("{user}x").into());
    assert_eq!(store.save(&record, 1, NOW).await.unwrap_err().kind(), StoreErrorKind::Other);
}

#[tokio::test]
async fn a_payload_beyond_the_packet_size_is_named_so() {
    let Some(url) = shared().await else { return };
    let store = store(&url, "large").await;
    let _ = store.create(&sql::record(1, 1), NOW).await.unwrap();
    let most = 16 << 20;
    // The last ones are too large with their user, and with what a packet has beside.
    for (payload_size, user_size) in [(17 << 20, 6), (most - 500, 1_000), (most - 80, 6)] {
        let mut record = sql::record(1, 2);
        record.payload = Payload::from_bytes(vec![b'x'; payload_size]);
        record.user = Some("u".repeat(user_size).into());
        let error = store.save(&record, 1, NOW).await.unwrap_err();
        let StoreErrorKind::TooLarge { size, limit, .. } = error.kind() else { panic!("{error:?}") };
        assert_eq!((size, limit), (payload_size + user_size, most));
        assert_eq!(store.load(record.id, NOW).await.unwrap().unwrap().version, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_once_and_missed_when_it_is_gone() {
    let Some(server) = server::mariadb() else { return };
    let url = database(&server).await;
    let held = store(&url, "sessions").await;
    let admin = tokio::sync::Mutex::new(MySqlConnection::connect(&url).await.unwrap());
    let executed = async || {
        let count = "SELECT CAST(SUM(variable_value) AS SIGNED) FROM information_schema.global_status WHERE variable_name \
                     IN ('COM_STMT_EXECUTE', 'COM_STMT_PREPARE', 'COM_ADMIN_COMMANDS', 'COM_SET_OPTION', 'COM_COMMIT')";
        let row = sqlx::raw_sql(count).fetch_one(&mut *admin.lock().await).await.unwrap();
        u64::try_from(sqlx::Row::get::<i64, _>(&row, 0)).unwrap()
    };
    sql::an_operation_is_one_statement(held.clone().max_connections(1), executed).await;
    is_missed_when_it_is_gone(server, &url).await;
}

/// A held connection that the server has closed costs a load nothing but a new connection.
#[tokio::test]
async fn a_load_survives_a_connection_that_was_closed() {
    let Some(url) = shared().await else { return };
    let mut admin = MySqlConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("CREATE DATABASE closed").execute(&mut admin).await.unwrap();
    let store = store(&url.replace("/sessions", "/closed"), "sessions").await;
    let _ = store.create(&sql::record(1, 1), NOW).await.unwrap();
    for _ in 0..3 {
        let find = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = 'closed' \
                    AND command <> 'Killed'";
        let ids: Vec<(i64,)> = sqlx::query_as(find).fetch_all(&mut admin).await.unwrap();
        assert_eq!(ids.len(), 1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("KILL {}", ids[0].0))).execute(&mut admin).await.unwrap();
        assert!(store.load(sql::record(1, 1).id, NOW).await.unwrap().is_some());
    }
}
