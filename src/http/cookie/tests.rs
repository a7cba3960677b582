use std::time::Duration;

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

use super::*;
use crate::engine::Shown;
use crate::token::{TOKEN_CHARS, Token};

const KEPT: &str = "HttpOnly; SameSite=Lax; Secure; Path=/";

fn prepared(cookie: SessionCookie) -> SessionCookie {
    let mut cookie = cookie;
    cookie.prepare().unwrap();
    cookie
}

fn refused(mut cookie: SessionCookie) -> ConfigError {
    cookie.prepare().unwrap_err()
}

fn token(n: u8) -> String {
    format!("{n:A>64}")
}

fn read(lines: &[impl AsRef<[u8]>]) -> Shown {
    let headers: Vec<_> = lines.iter().map(|line| HeaderValue::from_bytes(line.as_ref()).unwrap()).collect();
    SessionCookie::default().read(headers.iter(), TOKEN_CHARS)
}

fn shown_tokens(lines: &[impl AsRef<[u8]>]) -> Vec<String> {
    match read(lines) {
        Shown::Tokens(tokens) => tokens.iter().map(|shown| shown.token.expose().to_string()).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn ck_30_no_header_and_other_names_show_nothing() {
    assert!(matches!(read(&[""; 0]), Shown::Nothing));
    for line in ["", ";", "=", " ", "a=1", "__host-id=x", "__Host-id2=x", "__Host-i=x", "=__Host-id=x"] {
        assert!(matches!(read(&[line]), Shown::Nothing), "{line:?}");
    }
}

#[test]
fn ck_22_what_cannot_be_a_token_is_malformed() {
    for value in ["", "x", &token(1)[1..], &format!("{}A", token(1)), &format!("{}+", &token(1)[1..])] {
        assert!(matches!(read(&[format!("__Host-id={value}")]), Shown::Malformed), "{value:?}");
    }
}

#[test]
fn ck_20_to_24_up_to_four_different_tokens_are_shown_each_once() {
    let pair = |n| format!("__Host-id={}", token(n));
    assert_eq!(shown_tokens(&[[pair(1), pair(1)].join("; ")]), [token(1)]);
    assert_eq!(shown_tokens(&[pair(2), "__Host-id=x".into(), pair(1)]), [token(2), token(1)]);
    let four = [pair(1), pair(2), pair(3), pair(4), pair(1), pair(4)];
    assert_eq!(shown_tokens(&four), [1, 2, 3, 4].map(token));
    assert!(matches!(read(&[pair(1), pair(2), pair(3), pair(4), pair(5)]), Shown::TooMany));
}

#[test]
fn ck_22_what_is_malformed_does_not_count() {
    let garbage = (0..100).map(|n| format!("__Host-id={n}"));
    let lines: Vec<_> = garbage.chain([format!("__Host-id={}", token(1))]).collect();
    assert_eq!(shown_tokens(&lines), [token(1)]);
}

#[test]
fn sc_03_to_06_the_prefix_follows_from_the_attributes() {
    use CookiePrefix::{HttpOnly, None};
    for (cookie, name) in [
        (SessionCookie::default(), "__Host-id"),
        (SessionCookie::new("id"), "__Host-id"),
        (SessionCookie::new("id").domain("example.org"), "__Secure-id"),
        (SessionCookie::new("id").path("/app"), "__Secure-id"),
        (SessionCookie::new_for_http("id"), "id"),
        (SessionCookie::new("id").prefix(None), "id"),
        (SessionCookie::new("id").prefix(HttpOnly), "__Host-Http-id"),
        (SessionCookie::new("id").prefix(HttpOnly).domain("example.org"), "__Http-id"),
        (SessionCookie::new("id").prefix(HttpOnly).path("/app"), "__Http-id"),
        (SessionCookie::new("__Host-id"), "__Host-id"),
        (SessionCookie::new("__secure-id"), "__secure-id"),
        (SessionCookie::new("__Http-id"), "__Http-id"),
        (SessionCookie::new("__host-http-id"), "__host-http-id"),
        (SessionCookie::new("__Hostess"), "__Host-__Hostess"),
    ] {
        assert_eq!(prepared(cookie).name, name);
    }
}

#[test]
fn sc_03_to_06_attributes_that_do_not_fit_the_prefix_are_refused() {
    let demands = |cookie| match refused(cookie) {
        ConfigError::CookiePrefix { demands, .. } => demands,
        other => panic!("{other:?}"),
    };
    let http_only = |cookie: SessionCookie| cookie.prefix(CookiePrefix::HttpOnly);
    for (cookie, sentence) in [
        (SessionCookie::new_for_http("__Host-id"), "has to be Secure"),
        (SessionCookie::new_for_http("__Secure-id"), "has to be Secure"),
        (SessionCookie::new_for_http("__SECURE-id").prefix(CookiePrefix::None), "has to be Secure"),
        (SessionCookie::new_for_http("__http-id"), "has to be Secure"),
        (http_only(SessionCookie::new_for_http("id")), "has to be Secure"),
        (SessionCookie::new("__Host-id").domain("example.org"), "cannot have a Domain"),
        (SessionCookie::new("__HOST-id").domain("example.org"), "cannot have a Domain"),
        (SessionCookie::new("__host-id").path("/app"), "has to have the Path /"),
        (SessionCookie::new("__Host-Http-id").path("/app"), "has to have the Path /"),
        (SessionCookie::new("__Http-id").insecure_visible_to_scripts(), "has to be HttpOnly"),
        (SessionCookie::new("__host-HTTP-id").insecure_visible_to_scripts(), "has to be HttpOnly"),
        (http_only(SessionCookie::new("id")).insecure_visible_to_scripts(), "has to be HttpOnly"),
    ] {
        assert_eq!(demands(cookie), sentence);
    }
}

#[test]
fn sc_15_and_16_options_that_need_secure_say_so() {
    let http = || SessionCookie::new_for_http("id");
    let needs = |option| ConfigError::NeedsSecure { option };
    assert_eq!(refused(http().same_site(SameSite::None)), needs("SameSite=None"));
    assert_eq!(refused(http().partitioned(true)), needs("Partitioned"));
}

#[test]
fn sc_01_names_and_attributes_outside_the_grammar_are_refused() {
    for name in ["", "a b", "a=b", "a;b", "a,b", "a\"b", "\u{e9}", "a\tb", "a\u{7f}", "(a)", "a/b", "[a]", "{a}", "a@b"]
    {
        assert!(matches!(refused(SessionCookie::new(name)), ConfigError::CookieName { .. }), "{name:?}");
    }
    for domain in ["", "a b", "a;b", "a/b", "a_b", "m\u{fc}nchen.example", "a\nb", "a:80"] {
        let wrong = ConfigError::CookieAttribute { attribute: "Domain", value: domain.into() };
        assert_eq!(refused(SessionCookie::new("id").domain(domain)), wrong);
    }
    for path in ["", "app", "/a;b", "/a\tb", "/a\r\nSet-Cookie: b=1", "/\u{e9}", "/\u{7f}"] {
        let wrong = ConfigError::CookieAttribute { attribute: "Path", value: path.into() };
        assert_eq!(refused(SessionCookie::new("id").path(path)), wrong);
    }
}

#[test]
fn sc_01_a_domain_with_an_empty_label_is_refused() {
    for domain in [".", "..example.org", "example..org", "example.org."] {
        let wrong = refused(SessionCookie::new("id").domain(domain));
        assert!(matches!(wrong, ConfigError::CookieAttribute { attribute: "Domain", .. }), "{domain}: {wrong}");
    }
}

#[test]
fn sc_13_what_browsers_find_too_long_is_refused() {
    let name = |length: usize| SessionCookie::new("n".repeat(length - "__Host-".len()));
    assert_eq!(prepared(name(4096 - 64)).name.len(), 4096 - 64);
    assert!(matches!(refused(name(4096 - 63)), ConfigError::CookieName { .. }));
    let path = |length: usize| SessionCookie::new("id").path(format!("/{}", "p".repeat(length - 1)));
    assert_eq!(prepared(path(1024)).path.len(), 1024);
    assert!(matches!(refused(path(1025)), ConfigError::CookieAttribute { attribute: "Path", .. }));
    let domain = |end| SessionCookie::new("id").domain("d.".repeat(511) + end);
    assert_eq!(prepared(domain("dd")).domain.map(|it| it.len()), Some(1024));
    assert!(matches!(refused(domain("ddd")), ConfigError::CookieAttribute { attribute: "Domain", .. }));
}

#[test]
fn sc_08_max_age_is_rounded_up_and_never_overflows() {
    let max_age = |lifetime| {
        let header = SessionCookie::default().set("T", Some(lifetime), 1).0;
        let text = header.to_str().unwrap().to_owned();
        text.split_once("Max-Age=").unwrap().1.parse::<u64>().unwrap()
    };
    assert_eq!(max_age(Duration::ZERO), 0);
    assert_eq!(max_age(Duration::from_nanos(1)), 1);
    assert_eq!(max_age(Duration::from_secs(1)), 1);
    assert_eq!(max_age(Duration::from_millis(1001)), 2);
    for huge in [Duration::from_secs(u64::MAX), Duration::MAX] {
        assert!(max_age(huge) > 0);
    }
}

#[test]
fn sc_09_and_10_setting_and_removing() {
    let text = |header: HeaderValue| header.to_str().unwrap().to_owned();
    let default = SessionCookie::default();
    assert_eq!(text(default.set("T", None, 1).0), format!("__Host-id=T; {KEPT}"));
    assert_eq!(text(default.set("T", Some(Duration::from_mins(1)), 1).0), format!("__Host-id=T; {KEPT}; Max-Age=60"));
    let over = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(text(default.removal(1).0), format!("__Host-id=; {KEPT}; {over}"));
    let wide = prepared(SessionCookie::new("id").domain(".example.org").partitioned(true).same_site(SameSite::None));
    let kept = "HttpOnly; SameSite=None; Partitioned; Secure; Path=/; Domain=example.org";
    assert_eq!(text(wide.set("T", None, 1).0), format!("__Secure-id=T; {kept}"));
    assert_eq!(text(wide.removal(1).0), format!("__Secure-id=; {kept}; {over}"));
}

#[test]
fn sc_02_ours_takes_the_place_of_every_other_of_its_name() {
    let cookie = SessionCookie::default();
    let mut headers = HeaderMap::new();
    let others = ["a=1", "__host-id=2", "__Host-id2=3", "b=__Host-id=4; Path=/", "c=\u{e9}"];
    let same = ["__Host-id=5", " __Host-id\t= 6; Path=/x", "__Host-id=; Max-Age=0"];
    for value in [others[0], same[0], others[1], others[2], same[1], others[3], same[2], others[4]] {
        headers.append(SET_COOKIE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    SessionCookie::write(&mut headers, cookie.set("T", None, 1).0);
    let left: Vec<_> = headers.get_all(SET_COOKIE).iter().map(|value| value.as_bytes().to_owned()).collect();
    let ours = format!("__Host-id=T; {KEPT}");
    assert_eq!(left, [&others[..], &[&*ours]].concat().iter().map(|it| it.as_bytes().to_owned()).collect::<Vec<_>>());
}

#[test]
fn a_header_that_holds_a_token_is_sensitive() {
    let header = SessionCookie::default().set(&Token::generate().unwrap().expose(), None, 1).0;
    assert!(header.is_sensitive());
}
