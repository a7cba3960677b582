use crate::examples::use_it_across_a_restart;
use crate::stores::mysql::database;
use crate::support::server::mariadb;

#[tokio::test]
async fn who_is_logged_in_stays_so_across_a_restart() {
    let Some(server) = mariadb() else { return };
    use_it_across_a_restart("visits_mysql", &[("DATABASE_URL", &database(&server).await)]).await;
}
