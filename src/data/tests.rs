use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn data(value: &Value) -> Data {
    Data::parse(&value.to_string()).unwrap()
}

fn value(data: &Data) -> Value {
    serde_json::from_str(data.as_str()).unwrap()
}

#[test]
fn paths_reach_into_objects() {
    let data = data(&json!({"account": {"user": {"id": 7}}, "a.b": 1, "n": 1}));
    let get = |path: Segments<'_>| data.get(path).unwrap().map(str::to_owned);
    assert_eq!(get("account.user.id".segments()).as_deref(), Some("7"));
    assert_eq!(get("account.user".segments()).as_deref(), Some(r#"{"id":7}"#));
    assert_eq!(get(["a.b"].segments()).as_deref(), Some("1"));
    assert_eq!(get("account.nobody.id".segments()), None);
    assert_eq!(get("nothing.at.all".segments()), None);
}

#[test]
fn a_path_through_a_number_is_an_error_and_changes_nothing() {
    let mut data = data(&json!({"n": 1, "list": [1]}));
    let before = value(&data);
    for path in ["n.x", "n.x.y", "list.0"] {
        let path = &path;
        assert_eq!(data.get(path.segments()).unwrap_err().kind(), ErrorKind::NotAnObject);
        assert_eq!(data.set(path.segments(), "2", &Limits::default()).unwrap_err().kind(), ErrorKind::NotAnObject);
        assert_eq!(data.remove(path.segments()).unwrap_err().kind(), ErrorKind::NotAnObject);
    }
    assert_eq!(value(&data), before);
}

#[test]
fn empty_segments_are_refused() {
    let mut data = data(&json!({"a": {}}));
    for path in ["", ".", "a.", ".a", "a..b", "x..y"] {
        let path = &path;
        assert_eq!(data.get(path.segments()).unwrap_err().kind(), ErrorKind::InvalidPath, "{path}");
        assert_eq!(
            data.set(path.segments(), "1", &Limits::default()).unwrap_err().kind(),
            ErrorKind::InvalidPath,
            "{path}"
        );
        assert_eq!(data.remove(path.segments()).unwrap_err().kind(), ErrorKind::InvalidPath, "{path}");
        assert!(path.segments().to_owned().is_err());
    }
    let none: [&str; 0] = [];
    assert!(data.get(none.segments()).is_err());
    assert_eq!(value(&data), json!({"a": {}}));
}

#[test]
fn foreign_text_becomes_canonical() {
    let data = Data::parse(" { \"a\" : [ 1 , 2 ] , \"\\u0062\" : 1 , \"q\\\"\" : 2, \"a\" : 3 } ").unwrap();
    assert_eq!(data.as_str(), r#"{"a":3,"b":1,"q\"":2}"#);
    assert_eq!(data.keys().collect::<Vec<_>>(), ["a", "b", "q\""]);
    assert_eq!(data.get(["q\""].segments()).unwrap(), Some("2"));
}

#[test]
fn what_is_not_an_object_is_no_data() {
    for text in ["", "null", "[]", "1", "{", "{\"a\":}", "{\"a\":1}x", "{1:2}"] {
        assert!(Data::parse(text).is_err(), "{text}");
    }
}

#[test]
fn depth_counts_brackets_outside_strings() {
    for (json, depth) in [("1", 0), ("{}", 1), (r#"{"a":[]}"#, 2), (r#"["[[[\"[["]"#, 1), ("[[],[[]]]", 3)] {
        assert_eq!(depth_of(json), depth, "{json}");
    }
}

#[test]
fn a_change_beyond_the_limits_changes_nothing() {
    let limits = Limits::default().data_bytes(20).depth(3);
    let mut data = data(&json!({"a": {"b": 1}}));
    for (path, value, kind) in [
        ("a.b", "\"0123456789\"", ErrorKind::TooLarge),
        ("c", "12345678", ErrorKind::TooLarge),
        ("a.b.c.d", "1", ErrorKind::TooDeep),
        ("a.b", "[[1]]", ErrorKind::TooDeep),
    ] {
        assert_eq!(data.set((&path).segments(), value, &limits).unwrap_err().kind(), kind, "{path}");
        assert_eq!(data.as_str(), r#"{"a":{"b":1}}"#);
    }
    data.set((&"a.b").segments(), "12345678", &limits).unwrap();
    assert_eq!(data.as_str().len(), 20);
}

#[test]
fn a_deep_record_from_a_store_does_not_exhaust_the_stack() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let data = Data::parse(&deep).unwrap();
    assert_eq!(data.get("a".segments()).unwrap().map(str::len), Some(200_000));
}

#[derive(Clone, Debug)]
enum Op {
    Set(Vec<String>, Value),
    Remove(Vec<String>),
    Clear,
}

fn key() -> impl Strategy<Value = String> + Clone {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned()), "[a-c\"\\\\\n\u{e9}.]{1,3}"]
}

fn op() -> impl Strategy<Value = Op> {
    let path = prop::collection::vec(key(), 1..4);
    let leaf = prop_oneof![
        any::<i32>().prop_map(Value::from),
        "[ -~\u{1f600}]{0,6}".prop_map(Value::from),
        prop::collection::btree_map(key(), any::<bool>(), 0..3).prop_map(|map: BTreeMap<_, _>| json!(map)),
    ];
    prop_oneof![
        6 => (path.clone(), leaf).prop_map(|(path, value)| Op::Set(path, value)),
        3 => path.prop_map(Op::Remove),
        1 => Just(Op::Clear),
    ]
}

/// The same on a tree of values; `None` where the path is blocked.
fn model(root: &mut Value, op: &Op) -> Option<()> {
    let (path, new) = match op {
        Op::Clear => {
            *root = json!({});
            return Some(());
        }
        Op::Set(path, value) => (path, Some(value)),
        Op::Remove(path) => (path, None),
    };
    let (last, way) = path.split_last().unwrap();
    let mut at = root;
    for segment in way {
        let object = at.as_object_mut()?;
        if new.is_none() && !object.contains_key(segment) {
            return Some(());
        }
        at = object.entry(segment.clone()).or_insert_with(|| json!({}));
    }
    let object = at.as_object_mut()?;
    match new {
        Some(value) => object.insert(last.clone(), value.clone()),
        None => object.remove(last),
    };
    Some(())
}

proptest! {
    /// The spliced text says the same as a tree of values would, after any series of changes.
    #[test]
    fn text_and_tree_agree(ops in prop::collection::vec(op(), 0..40)) {
        let (mut data, mut tree) = (Data::default(), json!({}));
        for op in ops {
            let mut next = tree.clone();
            let expected = model(&mut next, &op);
            let done = match &op {
                Op::Set(path, value) => {
                    let path: Vec<&str> = path.iter().map(String::as_str).collect();
                    data.set((&path[..]).segments(), &value.to_string(), &Limits::default()).is_ok()
                }
                Op::Remove(path) => {
                    let path: Vec<&str> = path.iter().map(String::as_str).collect();
                    data.remove((&path[..]).segments()).is_ok()
                }
                Op::Clear => {
                    data.clear();
                    true
                }
            };
            prop_assert_eq!(done, expected.is_some());
            if done {
                tree = next;
            }
            prop_assert_eq!(value(&data), tree.clone());
            for key in tree.as_object().unwrap().keys() {
                let raw = data.get([key.as_str()].segments()).unwrap().unwrap();
                prop_assert_eq!(&serde_json::from_str::<Value>(raw).unwrap(), &tree[key]);
            }
        }
    }
}

#[test]
fn a_text_that_is_compact_already_is_read_into_as_much_room() {
    for text in [r#"{"a":1}"#, r#"{"a":1,"b":2}"#, r#"{"a":1,"b":{"c":[1,2]},"d":"e"}"#] {
        let data = Data::parse(text).unwrap();
        assert_eq!((data.as_str(), data.text.capacity()), (text, text.len()));
    }
}

#[test]
fn slack_is_left_behind_and_data_without_it_are_shared() {
    let tight = Arc::new(Data::parse(r#"{"a":1}"#).unwrap());
    assert!(Arc::ptr_eq(&tight, &tight.without_slack()));
    let mut grown = Data::clone(&tight);
    grown.text.reserve(1_000);
    let data = Arc::new(grown).without_slack();
    assert_eq!((data.as_str(), data.text.capacity()), (r#"{"a":1}"#, r#"{"a":1}"#.len()));
}

#[test]
fn what_is_kept_stays_as_it_was() {
    let before = data(&json!({"a": 1, "q\"uo": {"te": 2}, "b.c": [3], "": 4, "d": 5}));
    let kept = |names: &[&str]| {
        let mut data = before.clone();
        data.keep(&names.iter().map(|name| (*name).into()).collect::<Vec<_>>());
        data
    };
    for (names, expected) in [
        (&["d", "q\"uo", "", "none"][..], json!({"q\"uo": {"te": 2}, "": 4, "d": 5})),
        (&["a"], json!({"a": 1})),
        (&["none"], json!({})),
        (&[], json!({})),
        (&["a", "q\"uo", "b.c", "", "d"], value(&before)),
    ] {
        let mut kept = kept(names);
        assert_eq!(value(&kept), expected);
        kept.set_member("a", "6");
        kept.set_member("new", "7");
        assert_eq!((kept.member("a"), kept.member("new")), (Some("6"), Some("7")), "{names:?}");
    }
}

/// Work that grows with the square would take half a minute in a debug build. Keys may be the visitors' choice.
#[test]
fn to_keep_one_of_many_keys_takes_no_noticeable_time() {
    let members: Vec<_> = (0..60_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let mut many = Data::parse(&format!("{{{}}}", members.join(","))).unwrap();
    let started = std::time::Instant::now();
    many.keep(&["k59999".into()]);
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(many.as_str(), r#"{"k59999":59999}"#);
}
