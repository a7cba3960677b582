use super::*;

fn refusal(url: &str) -> String {
    url.parse::<StoreUrl>().expect_err(url).to_string()
}

#[test]
fn an_unknown_scheme_lists_the_known_ones() {
    let error = refusal("mongodb://u:hunter2@localhost/app");
    assert!(error.contains("memory: file: sqlite: postgres:") && error.contains("memcached:"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert!(refusal("sessions.db").contains("sqlite:sessions.db"));
}

#[test]
fn a_store_that_is_not_compiled_in_names_its_feature() {
    for (scheme, feature, compiled_in) in SCHEMES {
        if !compiled_in {
            let error = refusal(&format!("{scheme}://u:hunter2@localhost/x"));
            assert!(error.contains(&format!("{feature:?}")) && !error.contains("hunter2"), "{error}");
        }
    }
}

#[test]
fn parameters_are_checked() {
    for (url, said) in [
        ("memory:?max_entry=1", "\"max_entry\": this store has max_entries, max_bytes"),
        ("memory:?max_entries=many", "max_entries is a number"),
        ("memory:?max_entries=1&max_entries=2", "max_entries is given twice"),
        ("memory:x", "nothing comes after memory:"),
    ] {
        assert!(refusal(url).contains(said), "{url}: {}", refusal(url));
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn paths_are_checked() {
    for (url, said) in [
        ("sqlite:", "comes a path"),
        ("sqlite::memory:", "write memory:"),
        ("sqlite:~/sessions.db", "~ means something to a shell"),
        ("sqlite://sessions.db", "write sqlite:path"),
        ("sqlite:a%2", "two hexadecimal digits"),
        ("sqlite:a%ff", "UTF-8"),
        ("sqlite:a?create_schema=yes", "true or false"),
        ("sqlite:a?creat_schema=true", "\"creat_schema\": this store has create_schema, table"),
    ] {
        assert!(refusal(url).contains(said), "{url}: {}", refusal(url));
    }
    for (url, path) in [
        ("sqlite:sessions.db", "sessions.db"),
        ("sqlite:/var/lib/a%20b.db", "/var/lib/a b.db"),
        ("sqlite:///var/lib/a.db?table=t", "/var/lib/a.db"),
        ("sqlite:a@b#c", "a@b#c"),
    ] {
        let Target::Sqlite(found, _) = url.parse::<StoreUrl>().unwrap().target else { panic!("{url}") };
        assert_eq!(found.to_str(), Some(path), "{url}");
    }
}

#[cfg(feature = "postgres")]
#[test]
fn the_client_gets_its_own_parameters() {
    let url = "postgres://u:p%40@h/d?table=t&sslmode=require&create_schema=true&options[search_path]=app";
    let Target::Postgres(url, options) = url.parse::<StoreUrl>().unwrap().target else { panic!("another store") };
    assert_eq!(url, "postgres://u:p%40@h/d?sslmode=require&options[search_path]=app");
    assert_eq!((options.table.as_deref(), options.create_schema), (Some("t"), true));
    assert!(refusal("postgres://h/d?tabel=t").contains("\"tabel\""));
}

#[cfg(all(feature = "redis-cluster", feature = "redis-sentinel"))]
#[test]
fn several_redis_servers() {
    let url = "redis-cluster://u:p@a:1,b:2?prefix=shop:".parse::<StoreUrl>().unwrap();
    let Target::RedisCluster { urls, prefix } = url.target else { panic!("another store") };
    assert_eq!((urls, prefix.as_deref()), (vec!["redis://u:p@a:1".into(), "redis://u:p@b:2".into()], Some("shop:")));

    let url = "redis-sentinel://:p@a:1,b:2/my%2Fmaster?db=3".parse::<StoreUrl>().unwrap();
    let Target::RedisSentinel { sentinels, master, server, .. } = url.target else { panic!("another store") };
    assert_eq!(sentinels, ["redis://a:1", "redis://b:2"]);
    assert_eq!((master.as_str(), server.as_str()), ("my/master", "redis://:p@master/3"));
    assert!(refusal("redis-sentinel://a:1").contains("name of the master"));
}

#[cfg(feature = "memcached")]
#[test]
fn several_weighted_memcached_servers() {
    use crate::store::MemcachedServer;

    let url = "memcached://a?weight=2,b:2,[::1],[::1]:3?weight=0&prefix=shop:".parse::<StoreUrl>().unwrap();
    let Target::Memcached { servers, prefix } = url.target else { panic!("another store") };
    let expected = [("a:11211", 2), ("b:2", 1), ("[::1]:11211", 1), ("[::1]:3", 0)].map(MemcachedServer::from);
    assert_eq!((servers, prefix.as_deref()), (expected.to_vec(), Some("shop:")));
    for url in ["memcached:a", "memcached://", "memcached://a,", "memcached://a?weight=x", "memcached://u:p@a"] {
        refusal(url);
    }
}

#[cfg(all(feature = "postgres", feature = "redis-cluster", feature = "redis-sentinel"))]
#[test]
fn passwords_are_never_shown() {
    for url in [
        "postgres://ada:hunter2@h/d",
        "postgres://h/d?user=ada&password=hunter2",
        "redis://:hunter2@h",
        "redis://:hun@ter2@h",
        "redis+unix:///run/redis.sock?user=ada&pass=hunter2",
        "redis-cluster://ada:hunter2@a:1,b:2",
        "redis-sentinel://ada:hunter2@a:1/m",
    ] {
        let parsed: StoreUrl = url.parse().unwrap();
        let shown = format!("{parsed} {parsed:?}");
        assert!(!shown.contains("hun") && !shown.contains("ter2") && !shown.contains("ada"), "{shown}");
    }
    for url in [
        "postgres://ada:hun?ter2@h/d",
        "postgres://ada:hun/ter2@h/d",
        "postgres://ada:hun#ter2@h/d",
        "postgres://ada:p?hunter2=ter2&x@h/d",
        "redis-cluster://ada:p?hunter2=ter2&x@h",
        "redis-sentinel://ada:p?hunter2=ter2&x@h/m",
        "hunter2",
    ] {
        let error = refusal(url);
        assert!(!error.contains("hun") && !error.contains("ter2") && !error.contains("ada"), "{error}");
    }
}
