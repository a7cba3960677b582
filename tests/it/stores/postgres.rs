use std::sync::LazyLock;
use std::time::{Duration, Instant};

use cloakroom::store::StoreErrorKind;
use cloakroom::testing::conformance;
use cloakroom::{PostgresStore, SessionStore};
use sqlx::postgres::{PgPool, PgPoolOptions};

use super::sql::{self, NOW};
use crate::support::server::{self, Server};

/// One server for all tests; it is stopped when their process ends.
static SERVER: LazyLock<Option<Server>> = LazyLock::new(server::postgres);

async fn shared() -> Option<String> {
    let server = tokio::task::spawn_blocking(|| SERVER.as_ref()).await.unwrap()?;
    Some(url(server))
}

pub fn url(server: &Server) -> String {
    format!("postgres://postgres@127.0.0.1:{}/postgres", server.port)
}

/// A store of this table. A server that has just started says for a while that it is not ready.
pub async fn store(url: &str, table: &str) -> PostgresStore {
    let started = Instant::now();
    let store = loop {
        match PostgresStore::connect(url).await {
            Ok(store) => break store.table(table).unwrap(),
            Err(error) => assert!(started.elapsed() < Duration::from_secs(30), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    store.create_schema().await.unwrap();
    store
}

async fn pool(url: &str) -> PgPool {
    let options = PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(10));
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
    store(&url, "public.contract_pool").await;
    let pool = pool(&url).await;
    conformance::check(async || PostgresStore::with_pool(pool.clone()).table("contract_pool").unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn table_names_are_checked_and_keep_sessions_apart() {
    let Some(url) = shared().await else { return };
    let one = store(&url, "public.select").await;
    sql::refuses_bad_names(&one, PostgresStore::table);
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
    let store = PostgresStore::with_pool(pool(&url).await).table("cancelled_pool").unwrap();
    sql::cancelled_calls_do_no_harm(store).await;
}

#[tokio::test]
async fn a_user_that_is_too_long_is_refused() {
    let Some(url) = shared().await else { return };
    let store = store(&url, "long_user").await;
    // Random enough that the database cannot make it shorter.
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + u8::try_from(state >> 33 & 63).unwrap())
    };
    let user: String = (0..2_600).map(|_| random()).collect();
    let mut record = sql::record(1, 1);
    record.user = Some(user.as_str().into());
    let _ = store.create(&record, NOW).await.unwrap();
    assert_eq!(store.user_index().unwrap().records_of(&user, NOW).await.unwrap().len(), 1);
    record.user = Some(format!("{user}x").into());
    assert_eq!(store.save(&record, 1, NOW).await.unwrap_err().kind(), StoreErrorKind::Other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_once_and_missed_when_it_is_gone() {
    let Some(mut server) = server::postgres() else { return };
    let held = store(&url(&server), "sessions").await;
    let mut admin = <sqlx::PgConnection as sqlx::Connection>::connect(&url(&server)).await.unwrap();
    sqlx::query("ALTER SYSTEM SET log_statement = 'all'").execute(&mut admin).await.unwrap();
    sqlx::query("SELECT pg_reload_conf()").execute(&mut admin).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let executed = async || {
        let log = std::fs::read_to_string(server.dir.join("log")).unwrap();
        u64::try_from(
            log.lines().filter(|line| line.contains(" LOG:  execute ") || line.contains(" LOG:  statement: ")).count(),
        )
        .unwrap()
    };
    sql::an_operation_is_one_statement(held.clone().max_connections(1), executed).await;
    let options = PgPoolOptions::new().acquire_timeout(Duration::from_millis(300));
    let pooled = PostgresStore::with_pool(options.connect(&url(&server)).await.unwrap());
    server.kill();
    // Processes of the server that serve a connection live a moment longer.
    tokio::time::sleep(Duration::from_millis(500)).await;
    conformance::check_unreachable(held, Duration::from_secs(1)).await;
    conformance::check_unreachable(pooled, Duration::from_secs(1)).await;
    assert_eq!(PostgresStore::connect(&url(&server)).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn survives_kill_9() {
    let Some(server) = server::postgres() else { return };
    let store = store(&url(&server), "sessions").await;
    sql::survives_kill_9(store, server).await;
}

/// A held connection that the server has closed costs a load nothing but a new connection.
#[tokio::test]
async fn a_load_survives_a_connection_that_was_closed() {
    let Some(url) = shared().await else { return };
    let store = store(&url, "closed").await;
    let _ = store.create(&sql::record(1, 1), NOW).await.unwrap();
    let mut admin = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
    for _ in 0..3 {
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%\"closed\"%' AND pid <> pg_backend_pid()")
            .execute(&mut admin)
            .await
            .unwrap();
        assert!(store.load(sql::record(1, 1).id, NOW).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn users_are_found_through_the_index() {
    let Some(url) = shared().await else { return };
    drop(store(&url, "indexed").await);
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
    sqlx::query("SET enable_seqscan = off").execute(&mut connection).await.unwrap();
    let explain = "EXPLAIN SELECT id FROM indexed WHERE user_id = $1 AND expires_at > $2";
    let plan: Vec<(String,)> = sqlx::query_as(explain).bind("x").bind(0_i64).fetch_all(&mut connection).await.unwrap();
    assert!(plan.iter().any(|line| line.0.contains("indexed_user_id")), "{plan:?}");
}

#[tokio::test]
async fn the_docs_show_the_schema() {
    let store = PostgresStore::with_pool(PgPool::connect_lazy("postgres://nobody@127.0.0.1/nothing").unwrap());
    let other = store.clone().table("a.b").unwrap();
    sql::the_docs_show_the_schema(&store.schema(), include_str!("../../../src/store/sql/postgres.rs"), &other.schema());
}
