use cloakroom::{SealedCodec, SealingKey, SessionManager};
use serde_json::json;

use super::{Stage, commit, json, run};

#[tokio::test(flavor = "multi_thread")]
async fn stats_count_sessions_by_application_and_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("file:{}", folder.path().join("files").display());
    for stage in [Stage::sqlite(&folder).await, Stage::set(&file).await] {
        let stats = json(&["stats", &stage.url]);
        assert_eq!(stats["store"], stage.url);
        let count = |name: &str| stats[name].as_u64().unwrap();
        assert_eq!([count("live"), count("logged_in"), count("users"), count("expired")], [4, 3, 2, 1]);
        assert_eq!([count("sealed"), count("unreadable"), count("tombstones")], [0, 0, 0]);
        assert!(count("largest") < count("bytes") && count("bytes") < 4 * count("largest"), "{stats}");
        let kinds: Vec<_> = stats["kinds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|kind| [&kind["namespace"], &kind["name"], &kind["live"]])
            .collect();
        assert_eq!(kinds, [[&json!(""), &json!("admin"), &json!(1)], [&json!("shop"), &json!("id"), &json!(3)]]);

        let run = run(&["stats", &stage.url]);
        let text = run.text();
        assert!(text.contains("live           4\n") && text.contains("logged in      3  2 users\n"), "{text}");
        assert!(text.contains("shop         id        3          2    "), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_session_is_not_counted_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    // The seats of a user are kept like a session, a mark of a logout during a migration too.
    let policy = cloakroom::SessionPolicy::aal2().max_sessions(5, cloakroom::WhenFull::RefuseNewest);
    let manager = SessionManager::new(stage.store.clone()).policy(policy).unwrap();
    super::log_in(&manager, "bob").await;
    let migrating = cloakroom::MigratingStore::new(cloakroom::MemoryStore::new(), stage.store.clone());
    let manager = SessionManager::new(migrating).namespace("shop");
    manager.open(stage.visitor.expose().as_bytes()).await.unwrap();
    let session = manager.open(stage.visitor.expose().as_bytes()).await.unwrap();
    session.destroy().unwrap();
    manager.commit(&session).await.unwrap();
    let stats = json(&["stats", &stage.url]);
    assert_eq!([&stats["live"], &stats["tombstones"], &stats["unreadable"]], [4, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_a_user_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    let list = json(&["list", &stage.url, "--user", "ada"]);
    let list = list.as_array().unwrap();
    let mut ids: Vec<_> = list.iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect();
    let mut expected: Vec<_> = stage.ada.iter().map(|token| token.id().to_string()).collect();
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert_eq!(
        (&list[0]["namespace"], &list[0]["user"], &list[0]["label"]),
        (&"shop".into(), &"ada".into(), &"Firefox on Linux".into())
    );
    assert!(list[0]["logged_in_at"].as_i64().unwrap() < list[0]["expires_at"].as_i64().unwrap());

    let text = run(&["list", &stage.url, "--user", "ada"]);
    assert_eq!(text.text().lines().count(), 3, "{}", text.stdout);
    let of_grace = run(&["list", &stage.url, "--user", "grace"]);
    assert!(of_grace.text().contains("on \u{fffd}Linux"), "nobody turns the line around: {}", of_grace.stdout);
    assert_eq!(run(&["list", &stage.url, "--user", "nobody"]).text(), "this user has no sessions\n");
    assert_eq!(json(&["list", &stage.url, "--user", "nobody"]), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_shows_keys_and_sizes_and_values_if_asked() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    let id = stage.visitor.id().to_string();
    let shown = json(&["show", &stage.url, &id]);
    assert_eq!(shown["id"], id);
    assert_eq!(shown["user"], json!(null));
    assert_eq!(shown["data"]["cart"], json!({ "bytes": 16 }));
    let with_values = json(&["show", &stage.url, &id, "--values"]);
    assert_eq!(with_values["data"]["cart"], json!({ "bytes": 16, "value": ["milk", "bread"] }));

    let text = run(&["show", &stage.url, &id]);
    assert!(text.text().contains("cart        16\n") && text.text().contains("(flash)"), "{}", text.stdout);
    assert!(!text.stdout.contains("milk") && !text.stdout.contains("welcome"), "{}", text.stdout);
    let text = run(&["show", &stage.url, &id, "--values"]);
    assert!(text.text().contains(r#"["milk","bread"]"#), "{}", text.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_sealed_session_nothing_is_shown_but_its_life() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    let codec = SealedCodec::new(SealingKey::generate().unwrap());
    let manager = SessionManager::new(stage.store.clone()).codec(codec);
    let session = manager.create();
    session.insert("cart", "milk").unwrap();
    session.login("ada").unwrap();
    let id = commit(&manager, &session).await.id().to_string();

    let text = run(&["show", &stage.url, &id, "--values"]);
    assert!(text.text().contains("user     ada") && text.stdout.contains("the record is sealed"), "{}", text.stdout);
    assert!(!text.stdout.contains("cart") && !text.stdout.contains("milk"), "{}", text.stdout);
    let shown = json(&["show", &stage.url, &id, "--values"]);
    assert_eq!((&shown["unreadable"], shown.get("data")), (&"the record is sealed".into(), None));
    let stats = json(&["stats", &stage.url]);
    assert_eq!((&stats["live"], &stats["sealed"], &stats["logged_in"]), (&5.into(), &1.into(), &4.into()));
    assert_eq!(json(&["list", &stage.url, "--user", "ada"]).as_array().unwrap().len(), 3);
}
