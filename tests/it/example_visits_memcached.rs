use crate::examples::use_it_across_a_restart;
use crate::support::server::memcached;

/// As long as Memcached itself is not restarted.
#[tokio::test]
async fn who_is_logged_in_stays_so_across_a_restart() {
    let Some(server) = memcached() else { return };
    use_it_across_a_restart("visits_memcached", &[("MEMCACHED_SERVER", &server.address().to_string())]).await;
}
