use super::{Stage, run, run_in};

/// All commands on a store, their errors too: nobody gets in with what they print.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_and_no_digest_is_in_any_output() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    let tokens = [&stage.ada[0], &stage.ada[1], &stage.grace, &stage.visitor];
    let mut secrets = Vec::new();
    for token in tokens {
        let text = token.expose();
        // The id is the first third, and no secret.
        secrets.push(text[22..].to_owned());
        let record = stage.store.load(token.id(), std::time::SystemTime::now().into()).await.unwrap().unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&record.payload.to_bytes().unwrap()).unwrap();
        let digest = payload["digest"].as_str().unwrap();
        assert_eq!(digest.len(), 44);
        secrets.push(digest.to_owned());
        secrets.extend(payload["csrf"].as_str().map(str::to_owned));
    }
    let [ada, grace, visitor] = [&stage.ada[0], &stage.grace, &stage.visitor].map(|token| token.id().to_string());
    let (url, to) = (&*stage.url, &*super::sqlite(&folder, "new.db"));
    for arguments in [
        &["stats", url][..],
        &["list", url, "--user", "ada"],
        &["show", url, &ada, "--values"],
        &["show", url, &visitor],
        &["migrate", url, to],
        &["revoke", url, &grace],
        &["revoke", url, &grace],
        &["revoke", url, "--user", "ada"],
        &["sweep", url],
        &["revoke", url, "--all", "--yes"],
        &["schema", url],
    ] {
        for json in [&[][..], &["--json"]] {
            let run = run(&[json, arguments].concat());
            let printed = run.stdout + &run.stderr;
            assert!(!printed.is_empty(), "{arguments:?}");
            for secret in &secrets {
                assert!(!printed.contains(secret), "{arguments:?} prints a secret");
            }
            let values = arguments.contains(&"--values");
            assert_eq!(printed.contains("hunter2"), values, "{arguments:?}: values come if they were asked for");
        }
    }
}

#[test]
fn no_password_of_a_url_is_in_any_output() {
    let id = "6f9619ff-8b86-4d01-b42d-00c04fc964ff";
    let port = crate::support::server::free_port();
    for url in [
        &*format!("postgres://ada:hunter2@127.0.0.1:{port}/shop"),
        &format!("mysql://ada:hunter2@127.0.0.1:{port}/shop"),
        &format!("redis://ada:hunter2@127.0.0.1:{port}"),
        "redis+unix:///nowhere/redis.sock?pass=hunter2",
        "postgres:/ada:hunter2@localhost/shop",
        "postgres//ada:hunter2@localhost/shop",
        "postgresq://ada:hunter2@localhost/shop",
        "postgres://ada:hun/ter2@localhost/shop?hunter2",
        "postgres://localhost/shop?password=hunter2&sslmod=require",
    ] {
        for arguments in [
            &["stats", url][..],
            &["schema", url],
            &["show", url, id],
            &["show", url, "no-id"],
            &["show", id, url],
            &["stats", url, url],
            &["stats", "--stroe", url],
            &["stats", &format!("--store={url}")],
            &["list", url, "--usr", url],
            &["migrate", url, url],
            &["migrate", url],
            &["revoke", url],
            &[url],
        ] {
            let run = run(arguments);
            assert!(!(run.stdout + &run.stderr).contains("hunter2"), "{arguments:?}: {}", run.stderr);
        }
        let run = run_in(&[("SESSIONS", url)], &["stats", "env:SESSIONS"]);
        assert!(run.code != 0 && !run.stderr.contains("hunter2"), "{}", run.stderr);
    }
}
