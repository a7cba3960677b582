//! What lies in the folder: modes, damaged files, files of others.

use std::fs;
use std::io::Write as _;

use super::{LATER, NOW, created, file_of, new_id, payload, record};
use crate::support::sweep;
use cloakroom::FileStore;
use cloakroom::store::{CreateOutcome, Record, SaveOutcome, SessionStore as _, StoreErrorKind, UserIndex as _};

#[tokio::test]
async fn records_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("missing/as/well");
    let store = FileStore::open(&path).await.unwrap();
    let record = created(&store, Record { user: Some("ada".into()), ..record(new_id(), 1, "kept") }).await;
    drop(store);
    let store = FileStore::open(&path).await.unwrap();
    let found = store.load(record.id, NOW).await.unwrap().unwrap();
    assert_eq!((found.version, found.user.as_deref(), found.expires_at), (1, Some("ada"), LATER));
    assert_eq!(payload(&store, record.id).await.unwrap(), b"kept");
    assert_eq!(store.records_of("ada", NOW).await.unwrap().len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_or_write() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sessions");
    let store = FileStore::open(&path).await.unwrap();
    let id = created(&store, record(new_id(), 1, "x")).await.id;
    let file = file_of(&path, id);
    assert_eq!((mode(&path), mode(file.parent().unwrap()), mode(&file)), (0o700, 0o700, 0o600));
    assert_eq!(
        store.touch(id, 1, NOW.saturating_add(std::time::Duration::from_secs(9)), NOW).await.unwrap(),
        SaveOutcome::Saved
    );
    assert_eq!(mode(&file), 0o600);

    for (folder, bad) in [(path.clone(), 0o770), (path.clone(), 0o1777), (file.parent().unwrap().to_owned(), 0o702)] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(bad)).unwrap();
        let error = FileStore::open(&path).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Other);
        let text = std::error::Error::source(&error).unwrap().to_string();
        assert!(text.contains("chmod go-w") && text.contains(folder.to_str().unwrap()), "{text}");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    }
    FileStore::open(&path).await.unwrap();
}

#[tokio::test]
async fn a_file_is_no_folder() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = FileStore::open(file.path()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Other);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("not a folder"));
}

#[tokio::test]
async fn rel_04_a_damaged_file_is_noticed_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).await.unwrap();
    let whole = created(&store, Record { user: Some("ada".into()), ..record(new_id(), 1, vec![b'p'; 100]) }).await;
    let file = file_of(dir.path(), whole.id);
    let good = fs::read(&file).unwrap();
    let mut damaged: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
    damaged.push([&good[..], b"\0"].concat());
    damaged.push(vec![0; good.len()]);
    // The format's own number is left out: another one is no damage, but unknown.
    damaged.extend((0..good.len()).filter(|at| *at != 7).map(|at| {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        flipped
    }));
    let in_head = |bytes: &[u8]| bytes.len() != good.len() || bytes[..84 + 3] != good[..84 + 3];
    for bytes in damaged {
        fs::write(&file, &bytes).unwrap();
        assert_eq!(store.load(whole.id, NOW).await.unwrap_err().kind(), StoreErrorKind::Corrupt, "{bytes:?}");
        assert_eq!(store.touch(whole.id, 1, LATER, NOW).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
        assert_eq!(store.create(&whole, NOW).await.unwrap(), CreateOutcome::Exists);
        if in_head(&bytes) {
            let saved = store.save(&Record { version: 2, ..whole.clone() }, 1, NOW).await;
            assert_eq!(saved.unwrap_err().kind(), StoreErrorKind::Corrupt);
        }
        assert_eq!(fs::read(&file).unwrap(), bytes);
    }
    // It stops no search, and logout removes it.
    let other = created(&store, Record { user: Some("ada".into()), ..record(new_id(), 1, "other") }).await;
    let found = store.records_of("ada", NOW).await.unwrap();
    assert_eq!(found.iter().map(|record| record.id).collect::<Vec<_>>(), [other.id]);
    fs::write(&file, "").unwrap();
    assert_eq!(sweep(&store, LATER, 10).await, 1);
    assert!(file.exists());
    store.delete(whole.id).await.unwrap();
    assert!(!file.exists());
}

#[tokio::test]
async fn rel_19_a_newer_format_is_no_damage_and_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).await.unwrap();
    let id = created(&store, record(new_id(), 1, "x")).await.id;
    let file = file_of(dir.path(), id);
    let mut bytes = fs::read(&file).unwrap();
    bytes[7] = 2;
    fs::write(&file, &bytes).unwrap();
    let error = store.load(id, NOW).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("newer version"));
    assert!(store.save(&record(id, 2, "y"), 1, NOW).await.is_err());
    // Whose it is cannot be known, so a search that leaves it out would promise too much.
    assert!(store.records_of("ada", NOW).await.is_err());
    // When it expires is not known either, which keeps nobody from sweeping the others.
    let mut in_its_folder = new_id().as_bytes().to_owned();
    in_its_folder[0] = id.as_bytes()[0];
    created(&store, record(cloakroom::SessionId::from_bytes(in_its_folder), 1, "expired")).await;
    created(&store, record(new_id(), 1, "expired")).await;
    assert_eq!(sweep(&store, LATER, 10).await, 2);
    assert_eq!(store.delete_expired(&[id], LATER).await.unwrap(), 0);
    let page = store.inventory().unwrap().page(None, 10).await.unwrap();
    assert_eq!((page.records.len(), page.unreadable), (0, vec![id]));
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[tokio::test]
async fn rel_17_the_record_of_another_session_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).await.unwrap();
    let (mine, yours) = (new_id(), new_id());
    created(&store, record(mine, 1, "mine")).await;
    created(&store, record(yours, 1, "yours")).await;
    fs::copy(file_of(dir.path(), mine), file_of(dir.path(), yours)).unwrap();
    assert_eq!(store.load(yours, NOW).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    assert_eq!(payload(&store, mine).await.unwrap(), b"mine");
}

#[tokio::test]
async fn what_belongs_to_others_is_ignored_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let hex = "a7000000000000000000000000000000";
    let foreign = [
        "notes.txt".to_owned(),
        hex.to_owned(),
        "a7/.tmp-foreign".to_owned(),
        "a7/tmp.old".to_owned(),
        format!("a7/{}", hex.to_uppercase()),
        format!("a7/{hex}0"),
        format!("a7/b{}", &hex[1..]),
    ];
    drop(FileStore::open(dir.path()).await.unwrap());
    for name in &foreign {
        fs::File::create_new(dir.path().join(name)).unwrap().write_all(b"foreign").unwrap();
    }
    fs::create_dir(dir.path().join("a7").join(hex)).unwrap();
    let store = FileStore::open(dir.path()).await.unwrap();
    let expired = created(&store, record(new_id(), 1, "x")).await.id;
    assert_eq!(store.records_of("", NOW).await.unwrap().len(), 0);
    assert_eq!(sweep(&store, LATER, 100).await, 1);
    assert!(!file_of(dir.path(), expired).exists());
    for name in &foreign {
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"foreign", "{name}");
    }
    assert!(dir.path().join("a7").join(hex).is_dir());
}

#[tokio::test]
async fn a_long_user_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).await.unwrap();
    for len in [427, 428, 429, 5_000, 1 << 20] {
        let user = "\u{e4}".repeat(len / 2) + if len % 2 == 1 { "x" } else { "" };
        let id = created(&store, Record { user: Some(user.as_str().into()), ..record(new_id(), 1, "x") }).await.id;
        let found = store.records_of(&user, NOW).await.unwrap();
        assert_eq!(found.iter().map(|record| record.id).collect::<Vec<_>>(), [id], "{len}");
    }
    let too_long = Record { user: Some("x".repeat((1 << 20) + 1).into()), ..record(new_id(), 1, "x") };
    assert!(matches!(store.create(&too_long, NOW).await.unwrap_err().kind(), StoreErrorKind::TooLarge { .. }));
}
