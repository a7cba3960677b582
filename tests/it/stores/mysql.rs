use std::sync::LazyLock;
use std::time::{Duration, Instant};

use cloakroom::store::{Payload, StoreErrorKind};
use cloakroom::testing::conformance;
use cloakroom::{MysqlStore, SessionStore};
use sqlx::Connection as _;
use sqlx::mysql::{MySqlConnection, MySqlPool, MySqlPoolOptions};

use super::sql::{self, NOW};
use crate::support::server::{self, Server};

/// One server for all tests; it is stopped when their process ends.
static SERVER: LazyLock<Option<Server>> = LazyLock::new(server::mariadb);

async fn shared() -> Option<String> {
    let server = tokio::task::spawn_blocking(|| SERVER.as_ref()).await.unwrap()?;
    Some(database(server).await)
}

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

async fn store(url: &str, table: &str) -> MysqlStore {
    let store = MysqlStore::connect(url).await.unwrap().table(table).unwrap();
    store.create_schema().await.unwrap();
    store
}

async fn pool(url: &str) -> MySqlPool {
    let options = MySqlPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(10));
    options.connect(url).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let Some(url) = shared().await else { return };
    conformance::check(async || store(&url, "contract").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_with_a_pool() {
    let Some(url) = shared().await else { return };
    store(&url, "sessions.contract_pool").await;
    let pool = pool(&url).await;
    conformance::check(async || MysqlStore::with_pool(pool.clone()).table("contract_pool").unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn table_names_are_checked_and_keep_sessions_apart() {
    let Some(url) = shared().await else { return };
    let one = store(&url, "sessions.select").await;
    sql::refuses_bad_names(&one, MysqlStore::table);
    sql::a_missing_table_is_no_outage(one.clone().table("missing").unwrap()).await;
    sql::tables_are_separate(one, store(&url, "Other_2").await).await;
    // Several instances of an application may start at once.
    let mut starts = tokio::task::JoinSet::new();
    let store = store(&url, "first").await;
    for _ in 0..8 {
        let store = store.clone().table("at_once").unwrap();
        starts.spawn(async move { store.create_schema().await.unwrap() });
    }
    starts.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_calls_do_no_harm() {
    let Some(url) = shared().await else { return };
    sql::cancelled_calls_do_no_harm(store(&url, "cancelled").await.max_connections(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_calls_do_no_harm_to_a_pool() {
    let Some(url) = shared().await else { return };
    store(&url, "cancelled_pool").await;
    let store = MysqlStore::with_pool(pool(&url).await).table("cancelled_pool").unwrap();
    sql::cancelled_calls_do_no_harm(store).await;
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
    let mut record = sql::record(1, 2);
    record.payload = Payload::from_bytes(vec![b'x'; 17 << 20]);
    let error = store.save(&record, 1, NOW).await.unwrap_err();
    let StoreErrorKind::TooLarge { size, limit, .. } = error.kind() else { panic!("{error:?}") };
    assert_eq!((size, limit), (17 << 20, 16 << 20));
    assert_eq!(store.load(record.id, NOW).await.unwrap().unwrap().version, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_once_and_missed_when_it_is_gone() {
    let Some(mut server) = server::mariadb() else { return };
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
    let options = MySqlPoolOptions::new().acquire_timeout(Duration::from_millis(300));
    let pooled = MysqlStore::with_pool(options.connect(&url).await.unwrap());
    server.kill();
    conformance::check_unreachable(held, Duration::from_secs(1)).await;
    conformance::check_unreachable(pooled, Duration::from_secs(1)).await;
    assert_eq!(MysqlStore::connect(&url).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn survives_kill_9() {
    let Some(server) = server::mariadb() else { return };
    let store = store(&database(&server).await, "sessions").await;
    sql::survives_kill_9(store, server).await;
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
        let find = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = 'closed'";
        let ids: Vec<(i64,)> = sqlx::query_as(find).fetch_all(&mut admin).await.unwrap();
        assert_eq!(ids.len(), 1);
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("KILL {}", ids[0].0))).execute(&mut admin).await.unwrap();
        assert!(store.load(sql::record(1, 1).id, NOW).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn the_docs_show_the_schema() {
    let store = MysqlStore::with_pool(MySqlPool::connect_lazy("mysql://nobody@127.0.0.1/nothing").unwrap());
    let other = store.clone().table("a.b").unwrap();
    sql::the_docs_show_the_schema(&store.schema(), include_str!("../../../src/store/sql/mysql.rs"), &other.schema());
}
