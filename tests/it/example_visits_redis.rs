use crate::examples::use_it_across_a_restart;
use crate::support::redis::{single, url};

#[tokio::test]
async fn who_is_logged_in_stays_so_across_a_restart() {
    let Some(server) = single("") else { return };
    use_it_across_a_restart("visits_redis", &[("REDIS_URL", &url(&server))]).await;
}
