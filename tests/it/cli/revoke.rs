use super::{Stage, json, run};

#[tokio::test(flavor = "multi_thread")]
async fn one_session_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    let id = stage.visitor.id().to_string();
    assert_eq!(run(&["revoke", &stage.url, &id]).text(), "1 session ended\n");
    assert!(!stage.is_open(&stage.visitor).await);
    assert!(stage.is_open(&stage.grace).await);
    assert_eq!(run(&["revoke", &stage.url, &id]).code, 3);
    assert_eq!(run(&["revoke", &stage.url, &stage.expired.to_string()]).code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_of_a_user_are_ended() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    assert_eq!(json(&["revoke", &stage.url, "--user", "ada"])["ended"], 2);
    assert!(!stage.is_open(&stage.ada[0]).await && !stage.is_open(&stage.ada[1]).await);
    assert!(stage.is_open(&stage.grace).await && stage.is_open(&stage.visitor).await);
    assert_eq!(json(&["revoke", &stage.url, "--user", "ada"])["ended"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_ended_if_one_says_so_twice() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    for without_yes in [&["revoke", &stage.url, "--all"][..], &["revoke", &stage.url], &["revoke", &stage.url, "--yes"]]
    {
        let refused = run(without_yes);
        assert_eq!((refused.code, &*refused.stdout), (2, ""), "{}", refused.stderr);
    }
    assert!(run(&["revoke", &stage.url, "--all"]).stderr.contains("--yes"));
    let id = stage.visitor.id().to_string();
    assert_eq!(run(&["revoke", &stage.url, &id, "--user", "ada"]).code, 2, "one at a time");
    assert!(stage.is_open(&stage.ada[0]).await);

    assert_eq!(json(&["revoke", &stage.url, "--all", "--yes"])["ended"], 4);
    for token in [&stage.ada[0], &stage.ada[1], &stage.grace, &stage.visitor] {
        assert!(!stage.is_open(token).await);
    }
    // What has expired is not ended: it is for the sweeper, who tells of it.
    assert_eq!(json(&["sweep", &stage.url])["deleted"], 1);
    assert_eq!(run(&["sweep", &stage.url]).text(), "0 sessions deleted that had expired\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_read_can_be_ended() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("files");
    let stage = Stage::set(&format!("file:{}", root.display())).await;
    let id = stage.visitor.id().as_uuid().simple().to_string();
    let file = root.join(&id[..2]).join(&id);
    std::fs::write(&file, "scrambled").unwrap();
    assert_eq!(json(&["stats", &stage.url])["unreadable"], 1);
    assert_eq!(run(&["show", &stage.url, &id]).code, 1);
    assert_eq!(json(&["revoke", &stage.url, &id])["ended"], 1);
    assert!(!file.exists());
}
