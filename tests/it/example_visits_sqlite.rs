use crate::examples::use_it_across_a_restart;

#[tokio::test]
async fn who_is_logged_in_stays_so_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sessions.db");
    use_it_across_a_restart("visits_sqlite", &[("SESSIONS_FILE", file.to_str().unwrap())]).await;
    assert!(file.is_file());
}
