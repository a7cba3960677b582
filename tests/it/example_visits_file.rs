use crate::examples::use_it_across_a_restart;

#[tokio::test]
async fn who_is_logged_in_stays_so_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    // The example keeps its files in the folder for temporary files.
    use_it_across_a_restart("visits_file", &[("TMPDIR", folder.path().to_str().unwrap())]).await;
    assert!(folder.path().join("visits").is_dir());
}
