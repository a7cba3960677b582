use crate::examples::use_it_across_a_restart;
use crate::stores::postgres::database;
use crate::support::server::postgres;

#[tokio::test]
async fn who_is_logged_in_stays_so_across_a_restart() {
    let Some(server) = postgres() else { return };
    use_it_across_a_restart("visits_postgres", &[("DATABASE_URL", &database(&server).await)]).await;
}
