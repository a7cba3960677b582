use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_735_689_600_000); // 2025-01-01 00:00 UTC
const DAY: u64 = 86_400;

fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

fn jar(from: &str, cookies: &[&str]) -> Jar {
    let mut jar = Jar::default();
    for cookie in cookies {
        jar.store(cookie.as_bytes(), &uri(from), NOW).unwrap_or_else(|refused| panic!("{cookie}: {refused:?}"));
    }
    jar
}

fn sent(jar: &mut Jar, to: &str, after_seconds: u64) -> String {
    let now = NOW.saturating_add(Duration::from_secs(after_seconds));
    jar.header(&uri(to), now).map(|header| header.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[test]
fn a_cookie_goes_to_its_host_its_path_and_its_scheme() {
    for (from, cookie, to, goes) in [
        ("https://a.org/", "n=1", "https://a.org/x?y", true),
        ("https://a.org/", "n=1", "https://A.org/x", true),
        ("https://a.org/", "n=1", "https://www.a.org/", false),
        ("https://www.a.org/", "n=1; Domain=a.org", "https://a.org/", true),
        ("https://www.a.org/", "n=1; Domain=.a.org", "https://b.a.org/", true),
        ("https://www.a.org/", "n=1; Domain=a.org", "https://ba.org/", false),
        ("https://a.org/x/y", "n=1", "https://a.org/x/z", true),
        ("https://a.org/x/y", "n=1", "https://a.org/", false),
        ("https://a.org/", "n=1; Path=/x", "https://a.org/x/y", true),
        ("https://a.org/", "n=1; Path=/x", "https://a.org/xy", false),
        ("https://a.org/x/y", "n=1; Path=no", "https://a.org/x", true),
        ("https://a.org/", "n=1; Secure", "http://a.org/", false),
        ("https://a.org/", "n=1", "http://a.org/", true),
        ("http://127.0.0.1:80/", "n=1; HttpOnly", "http://127.0.0.1:8080/", true),
    ] {
        assert_eq!(!sent(&mut jar(from, &[cookie]), to, 0).is_empty(), goes, "{cookie} of {from} to {to}");
    }
}

#[test]
fn what_browsers_ignore_is_refused_with_a_reason() {
    let long = format!("n={}", "x".repeat(4096));
    for (from, cookie, reason) in [
        ("https://a.org/", "nothing", "cannot be read"),
        ("https://a.org/", &*long, "4096 bytes"),
        ("https://a.org/", "n=1; Domain=b.org", "Domain"),
        ("https://a.org/", "n=1; Domain=www.a.org", "Domain"),
        ("https://a.org/", "n=1; Domain=org", "Domain"),
        ("https://127.0.0.1/", "n=1; Domain=0.0.1", "Domain"),
        ("http://a.org/", "n=1; Secure", "plain HTTP"),
        ("https://a.org/", "__Host-n=1; Path=/", "prefix"),
        ("https://a.org/", "__Host-n=1; Secure", "prefix"),
        ("https://a.org/", "__host-n=1; Secure; Path=/x", "prefix"),
        ("https://a.org/", "__Host-n=1; Secure; Path=/; Domain=a.org", "prefix"),
        ("https://a.org/", "__SECURE-n=1", "prefix"),
        ("https://a.org/", "__Http-n=1; Secure", "prefix"),
        ("https://a.org/", "__Host-Http-n=1; Secure; Path=/", "prefix"),
    ] {
        let refused = Jar::default().store(cookie.as_bytes(), &uri(from), NOW).unwrap_err();
        assert!(refused.reason.contains(reason), "{cookie}: {refused:?}");
    }
    for cookie in ["__Host-n=1; Secure; Path=/", "__Secure-n=1; Secure", "__Host-Http-n=1; Secure; Path=/; HttpOnly"] {
        jar("https://a.org/x", &[cookie]);
    }
}

#[test]
fn plain_http_cannot_hide_a_secure_cookie() {
    let mut jar = jar("https://a.org/", &["n=1; Secure"]);
    for (cookie, hides) in [("n=2", true), ("n=2; Path=/x", true), ("m=2", false)] {
        assert_eq!(jar.store(cookie.as_bytes(), &uri("http://a.org/"), NOW).is_err(), hides, "{cookie}");
    }
    assert_eq!(sent(&mut jar, "https://a.org/x", 0), "n=1; m=2");
}

#[test]
fn cookies_end_by_max_age_and_else_by_expires() {
    for (attributes, last_second) in [
        ("Max-Age=60", 59),
        ("Expires=Wed, 01 Jan 2025 00:01:00 GMT", 59),
        ("Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 59),
        ("Max-Age=999999999", 400 * DAY - 1),
        ("Expires=Fri, 31 Dec 2100 00:00:00 GMT", 400 * DAY - 1),
    ] {
        let mut jar = jar("https://a.org/", &[&format!("n=1; {attributes}")]);
        assert_eq!(sent(&mut jar, "https://a.org/", last_second), "n=1", "{attributes}");
        assert_eq!(sent(&mut jar, "https://a.org/", last_second + 1), "", "{attributes}");
    }
    for end in ["Max-Age=0", "Max-Age=-1", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
        assert!(jar("https://a.org/", &["n=1", &format!("n=; {end}")]).cookies.is_empty(), "{end}");
    }
}

#[test]
fn cookies_of_one_name_are_one_if_domain_and_path_are_the_same() {
    let cookies = ["n=1; Path=/", "n=2; Path=/x", "n=3; Domain=a.org", "n=4; Path=/"];
    assert_eq!(sent(&mut jar("https://a.org/", &cookies), "https://a.org/x", 0), "n=2; n=3; n=4");
}

#[test]
fn closing_the_browser_ends_what_has_no_end() {
    let mut jar = jar("https://a.org/", &["a=1", "b=2; Max-Age=60"]);
    jar.quit();
    assert_eq!(sent(&mut jar, "https://a.org/", 0), "b=2");
}
