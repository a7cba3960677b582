use super::{json, run};

#[test]
fn the_schema_of_each_database_is_printed_without_connecting() {
    for (url, begins) in [
        ("sqlite:/nowhere/sessions.db", r#"CREATE TABLE IF NOT EXISTS "cloakroom_sessions" ("#),
        ("postgres://app:hunter2@nowhere/app?table=web.sessions", r#"CREATE TABLE IF NOT EXISTS "web"."sessions" ("#),
        ("mysql://app:hunter2@nowhere/app?table=sessions", "CREATE TABLE IF NOT EXISTS `sessions` ("),
    ] {
        let run = run(&["schema", url]);
        assert!(run.text().starts_with(begins) && run.text().ends_with(";\n"), "{}", run.stdout);
        assert_eq!(json(&["schema", url])["schema"], run.stdout);
    }
}

#[test]
fn a_store_that_needs_no_table_says_so() {
    let run = run(&["schema", "redis://:hunter2@nowhere"]);
    assert_eq!((run.code, &*run.stdout, &*run.stderr), (0, "", "redis://***@nowhere: this store needs no table\n"));
}

#[test]
fn a_name_that_is_no_table_is_refused() {
    let run = run(&["schema", "postgres://app:hunter2@nowhere/app?table=a;b"]);
    assert_eq!((run.code, &*run.stdout), (2, ""));
    assert!(run.stderr.contains("cannot be a table's name"), "{}", run.stderr);
}
