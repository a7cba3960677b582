use crate::examples::use_it_across_a_restart;
use crate::stores::postgres::{store, url};
use crate::support::server::postgres;

#[tokio::test]
async fn who_is_logged_in_stays_so_across_a_restart() {
    let Some(server) = postgres() else { return };
    let url = url(&server);
    // A server that has just started is not ready yet; the example would say so and end.
    store(&url, "ready").await;
    use_it_across_a_restart("visits_postgres", &[("DATABASE_URL", &url)]).await;
}
