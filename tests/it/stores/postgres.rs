use std::time::{Duration, Instant};

use cloakroom::store::StoreErrorKind;
use cloakroom::{PostgresStore, SessionStore};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgPoolOptions};

use super::sql::{self, NOW};
use crate::support::server::{self, Server};

/// The URL of the database. A server that has just started says for a while that it is not ready.
pub async fn database(server: &Server) -> String {
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port);
    let started = Instant::now();
    while let Err(error) = PgConnection::connect(&url).await {
        assert!(started.elapsed() < Duration::from_secs(30), "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    url
}

sql::tests! {
    store: PostgresStore,
    pool: PgPoolOptions,
    server: server::postgres,
    schema: "public",
    source: "../../../src/store/sql/postgres.rs",
    nowhere: "postgres://nobody@127.0.0.1/nothing",
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
    let Some(server) = server::postgres() else { return };
    let url = database(&server).await;
    let held = store(&url, "sessions").await;
    let mut admin = PgConnection::connect(&url).await.unwrap();
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
    is_missed_when_it_is_gone(server, &url).await;
}

/// A held connection that the server has closed costs a load nothing but a new connection.
#[tokio::test]
async fn a_load_survives_a_connection_that_was_closed() {
    let Some(url) = shared().await else { return };
    let store = store(&url, "closed").await;
    let _ = store.create(&sql::record(1, 1), NOW).await.unwrap();
    let mut admin = PgConnection::connect(&url).await.unwrap();
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
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("SET enable_seqscan = off").execute(&mut connection).await.unwrap();
    let explain = "EXPLAIN SELECT id FROM indexed WHERE user_id = $1 AND expires_at > $2";
    let plan: Vec<(String,)> = sqlx::query_as(explain).bind("x").bind(0_i64).fetch_all(&mut connection).await.unwrap();
    assert!(plan.iter().any(|line| line.0.contains("indexed_user_id")), "{plan:?}");
}
