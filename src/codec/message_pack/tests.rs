use super::write::from_json;
use super::*;

fn back(json: &str) -> String {
    String::from_utf8(to_json(&from_json(json.as_bytes()).unwrap()).unwrap()).unwrap()
}

#[test]
fn what_comes_back_is_the_same_text() {
    let deepest = format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128));
    let deeper = format!("{}1{}", "{\"a\":[".repeat(500), "]}".repeat(500));
    let long = format!("{{\"long\":\"{}\"}}", "ä\\n\u{10ffff}".repeat(40_000));
    for json in [
        "{}",
        r#"{"":"","z":null,"a":[true,false,[],{}],"":1}"#,
        r#"{"n":[0,-1,127,128,-32,-33,255,256,65535,65536,-32769,4294967296,9223372036854775807,-9223372036854775808]}"#,
        r#"{"u":18446744073709551615,"beyond":[18446744073709551616,-9223372036854775809,123456789012345678901234567890]}"#,
        r#"{"f":[0.0,-0.0,0.1,1.0,1e300,5e-324,1.7976931348623157e308,-2.5]}"#,
        r#"{"as it is":[-0,1e2,1E+2,0.10,1e999,3.14159265358979323846]}"#,
        r#"{"escaped \" \\ \n \u0001":"\u0000","half a pair":"\ud800","\udfff":1}"#,
        &deepest,
        &deeper,
        &long,
    ] {
        assert_eq!(back(json), json);
    }
}

#[test]
fn blanks_go_and_escapes_take_their_usual_form() {
    assert_eq!(back("{ \"\\u0061\" : [ 1 , \"\\/\" ] }"), r#"{"a":[1,"/"]}"#);
}

#[test]
fn what_is_no_object_is_refused() {
    for document in ["", "[]", "1", "{", "{\"a\":}", "{} {}"] {
        assert!(from_json(document.as_bytes()).is_err(), "{document}");
    }
    assert!(from_json(b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn what_is_broken_is_refused() {
    for (name, stored) in [
        ("nothing", &b""[..]),
        ("cut off", b"\x81\xa1a"),
        ("a second value", b"\x80\x80"),
        ("a key that is a number", b"\x81\x01\x01"),
        ("a key that is JSON, but no text", b"\x81\xd4\x001\x01"),
        ("text that is no UTF-8", b"\x81\xa1\xff\x01"),
        ("no number", b"\x81\xa1a\xcb\x7f\xf8\0\0\0\0\0\0"),
        ("an infinite number", b"\x81\xa1a\xcb\x7f\xf0\0\0\0\0\0\0"),
        ("bytes", b"\x81\xa1a\xc4\x01a"),
        ("another extension", b"\x81\xa1a\xd4\x051"),
        ("an extension that holds no JSON", b"\x81\xa1a\xd4\x00x"),
        ("a marker that is none", b"\x81\xa1a\xc1"),
        ("four thousand million members", b"\xdf\xff\xff\xff\xff"),
        ("four thousand million items", b"\x81\xa1a\xdd\xff\xff\xff\xff"),
        ("a text of four GiB", b"\x81\xdb\xff\xff\xff\xff"),
    ] {
        assert!(to_json(stored).is_err(), "{name}");
    }
    let too_deep = [b"\x81\xa1a".to_vec(), vec![0x91; 1_000_000]].concat();
    assert!(to_json(&too_deep).is_err());
}
