//! A browser's cookie store, after RFC 6265bis: parsing `Set-Cookie` (section 5.6), storing (5.7), sending (5.8); and
//! partitions (CHIPS). Written from the specification and without our code, to be the judge of what our code emits.

use std::net::IpAddr;

use cloakroom::testing::TestClock;

const NAME_AND_VALUE_MAX: usize = 4096;
const ATTRIBUTE_MAX: usize = 1024;
const AGE_MAX_SECONDS: i64 = 400 * 86_400;
const PUBLIC_SUFFIXES: [&str; 3] = ["org", "uk", "co.uk"];

/// What is asked for, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    pub https: bool,
    pub host: &'a str,
    pub path: &'a str,
    pub from: From,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    SameSite,
    /// A link on another site was clicked.
    Link,
    /// A frame or picture on another site.
    Frame,
}

/// Why a `Set-Cookie` was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    ControlCharacter,
    TooLong,
    Empty,
    PublicSuffix,
    OtherDomain,
    SecureOverHttp,
    HidesSecureCookie,
    OtherSite,
    SameSiteNoneWithoutSecure,
    PartitionedWithoutSecure,
    Prefix,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SameSite {
    Strict,
    Lax,
    Default,
    None,
}

#[derive(Debug)]
struct Stored {
    name: Vec<u8>,
    value: Vec<u8>,
    /// In milliseconds; `None` is the end of the browser's session.
    expiry: Option<i64>,
    domain: String,
    host_only: bool,
    path: Vec<u8>,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
    partition: Option<From>,
}

#[derive(Debug)]
pub struct UserAgent {
    cookies: Vec<Stored>,
    clock: TestClock,
}

impl UserAgent {
    pub fn new(clock: &TestClock) -> Self {
        Self { cookies: Vec::new(), clock: clock.clone() }
    }

    /// Takes a `Set-Cookie` header of the answer to `visit`.
    pub fn receive(&mut self, visit: &Visit<'_>, header: &[u8]) -> Result<(), Ignored> {
        let cookie = admit(&parse(header, self.now())?, visit)?;
        let hidden = |old: &Stored| {
            let domains = domain_match(&old.domain, &cookie.domain) || domain_match(&cookie.domain, &old.domain);
            old.secure && old.name == cookie.name && domains && path_match(&cookie.path, &old.path)
        };
        if !visit.https && self.cookies.iter().any(hidden) {
            return Err(Ignored::HidesSecureCookie);
        }
        self.cookies.retain(|old| !old.is_same_as(&cookie));
        self.cookies.push(cookie);
        self.evict_expired();
        Ok(())
    }

    /// The `Cookie` header of a request.
    pub fn cookie_header(&mut self, visit: &Visit<'_>) -> Option<Vec<u8>> {
        self.serialize(visit, |_| true)
    }

    /// What `document.cookie` says.
    pub fn seen_by_scripts(&mut self, visit: &Visit<'_>) -> Option<Vec<u8>> {
        self.serialize(visit, |cookie| !cookie.http_only)
    }

    pub fn count(&mut self) -> usize {
        self.evict_expired();
        self.cookies.len()
    }

    /// All windows are closed.
    pub fn quit(&mut self) {
        self.cookies.retain(|cookie| cookie.expiry.is_some());
    }

    fn serialize(&mut self, visit: &Visit<'_>, eligible: impl Fn(&Stored) -> bool) -> Option<Vec<u8>> {
        self.evict_expired();
        let mut sent: Vec<_> = self.cookies.iter().filter(|it| it.is_for(visit) && eligible(it)).collect();
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = sent.into_iter().map(Stored::pair).collect();
        (!pairs.is_empty()).then(|| pairs.join(&b"; "[..]))
    }

    fn evict_expired(&mut self) {
        let now = self.now();
        self.cookies.retain(|cookie| cookie.expiry.is_none_or(|expiry| expiry > now));
    }

    fn now(&self) -> i64 {
        self.clock.timestamp().as_millis()
    }
}

impl Stored {
    fn is_same_as(&self, other: &Self) -> bool {
        let identity = |it: &Self| (it.name.clone(), it.domain.clone(), it.host_only, it.path.clone(), it.partition);
        identity(self) == identity(other)
    }

    fn is_for(&self, visit: &Visit<'_>) -> bool {
        let host = visit.host.to_ascii_lowercase();
        let domain = if self.host_only { host == self.domain } else { domain_match(&host, &self.domain) };
        let site = match visit.from {
            From::SameSite => true,
            From::Link => self.same_site != SameSite::Strict,
            From::Frame => self.same_site == SameSite::None,
        };
        let partition = self.partition.is_none_or(|partition| partition == partition_of(visit));
        let scheme = visit.https || !self.secure;
        domain && path_match(visit.path.as_bytes(), &self.path) && scheme && site && partition
    }

    fn pair(&self) -> Vec<u8> {
        if self.name.is_empty() { self.value.clone() } else { [&self.name[..], &self.value[..]].join(&b'=') }
    }
}

enum Attribute {
    Expires(i64),
    MaxAge(i64),
    Domain(String),
    Path(Vec<u8>),
    Secure,
    HttpOnly,
    SameSite(SameSite),
    Partitioned,
}

struct Parsed<'a> {
    name: &'a [u8],
    value: &'a [u8],
    attributes: Vec<Attribute>,
}

/// Section 5.6.
fn parse(header: &[u8], now: i64) -> Result<Parsed<'_>, Ignored> {
    if header.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(Ignored::ControlCharacter);
    }
    let mut parts = header.split(|byte| *byte == b';');
    let (name, value) = match parts.next().unwrap_or_default() {
        pair if pair.contains(&b'=') => split_at_equals(pair),
        nameless => (&[][..], trim(nameless)),
    };
    if name.len() + value.len() > NAME_AND_VALUE_MAX {
        return Err(Ignored::TooLong);
    }
    Ok(Parsed { name, value, attributes: parts.filter_map(|part| attribute(part, now)).collect() })
}

fn attribute(part: &[u8], now: i64) -> Option<Attribute> {
    let (name, value) = split_at_equals(part);
    if value.len() > ATTRIBUTE_MAX {
        return None;
    }
    let latest = now + AGE_MAX_SECONDS * 1000;
    Some(match &*name.to_ascii_lowercase() {
        b"expires" => Attribute::Expires((http_date(value)? * 1000).min(latest)),
        b"max-age" => Attribute::MaxAge(match max_age(value)? {
            seconds @ 1.. => now + seconds * 1000,
            _ => i64::MIN,
        }),
        b"domain" => {
            let domain = value.strip_prefix(b".").unwrap_or(value).to_ascii_lowercase();
            Attribute::Domain(String::from_utf8_lossy(&domain).into_owned())
        }
        b"path" => Attribute::Path(value.to_owned()),
        b"secure" => Attribute::Secure,
        b"httponly" => Attribute::HttpOnly,
        b"samesite" => Attribute::SameSite(match &*value.to_ascii_lowercase() {
            b"none" => SameSite::None,
            b"strict" => SameSite::Strict,
            b"lax" => SameSite::Lax,
            _ => SameSite::Default,
        }),
        b"partitioned" => Attribute::Partitioned,
        _ => return None,
    })
}

/// Seconds from now, at most 400 days.
fn max_age(value: &[u8]) -> Option<i64> {
    let (negative, digits) = value.strip_prefix(b"-").map_or((false, value), |digits| (true, digits));
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: i64, digit: &u8| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    let seconds = digits.iter().fold(0, add).min(AGE_MAX_SECONDS);
    Some(if negative { -seconds } else { seconds })
}

/// Section 5.7, up to the comparison with what is stored.
fn admit(parsed: &Parsed<'_>, visit: &Visit<'_>) -> Result<Stored, Ignored> {
    use Attribute::{Domain, Expires, HttpOnly, MaxAge, Partitioned, Path, SameSite as Site, Secure};
    let Parsed { name, value, attributes } = parsed;
    if name.is_empty() && value.is_empty() {
        return Err(Ignored::Empty);
    }
    let last_max_age = attributes.iter().rev().find_map(|it| if let MaxAge(at) = it { Some(*at) } else { None });
    let last_expires = attributes.iter().rev().find_map(|it| if let Expires(at) = it { Some(*at) } else { None });
    let last_domain = attributes.iter().rev().find_map(|it| if let Domain(it) = it { Some(&**it) } else { None });
    let last_path = attributes.iter().rev().find_map(|it| if let Path(it) = it { Some(&**it) } else { None });
    let last_site = attributes.iter().rev().find_map(|it| if let Site(it) = it { Some(*it) } else { None });
    let partitioned = attributes.iter().any(|it| matches!(it, Partitioned));

    let host = visit.host.to_ascii_lowercase();
    let wanted = match last_domain.unwrap_or_default() {
        suffix if PUBLIC_SUFFIXES.contains(&suffix) && suffix != host => return Err(Ignored::PublicSuffix),
        suffix if PUBLIC_SUFFIXES.contains(&suffix) => "",
        other => other,
    };
    if !wanted.is_empty() && !domain_match(&host, wanted) {
        return Err(Ignored::OtherDomain);
    }
    let path = last_path.filter(|path| path.starts_with(b"/")).unwrap_or_else(|| default_path(visit.path));
    let cookie = Stored {
        name: name.to_vec(),
        value: value.to_vec(),
        expiry: last_max_age.or(last_expires),
        host_only: wanted.is_empty(),
        domain: if wanted.is_empty() { host } else { wanted.to_owned() },
        path: path.to_owned(),
        secure: attributes.iter().any(|it| matches!(it, Secure)),
        http_only: attributes.iter().any(|it| matches!(it, HttpOnly)),
        same_site: last_site.unwrap_or(SameSite::Default),
        partition: partitioned.then(|| partition_of(visit)),
    };
    if cookie.secure && !visit.https {
        return Err(Ignored::SecureOverHttp);
    }
    if cookie.same_site != SameSite::None && visit.from == From::Frame {
        return Err(Ignored::OtherSite);
    }
    if cookie.same_site == SameSite::None && !cookie.secure {
        return Err(Ignored::SameSiteNoneWithoutSecure);
    }
    if partitioned && !cookie.secure {
        return Err(Ignored::PartitionedWithoutSecure);
    }
    if !fits_prefix(&cookie, last_path.is_some()) {
        return Err(Ignored::Prefix);
    }
    Ok(cookie)
}

/// Section 5.4: without regard to case; and a nameless cookie must not look as if it had such a name.
fn fits_prefix(cookie: &Stored, path_given: bool) -> bool {
    let starts = |text: &[u8], prefix: &str| {
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    let of_host = cookie.host_only && path_given && cookie.path == b"/";
    [
        ("__Secure-", cookie.secure),
        ("__Host-", cookie.secure && of_host),
        ("__Http-", cookie.secure && cookie.http_only),
        ("__Host-Http-", cookie.secure && of_host && cookie.http_only),
    ]
    .into_iter()
    .all(|(prefix, fits)| {
        let named = !starts(&cookie.name, prefix) || fits;
        let nameless = cookie.name.is_empty() && starts(&cookie.value, prefix);
        named && !nameless
    })
}

/// The site in the address bar.
fn partition_of(visit: &Visit<'_>) -> From {
    if visit.from == From::Frame { From::Frame } else { From::SameSite }
}

/// Section 5.1.3.
fn domain_match(host: &str, domain: &str) -> bool {
    let below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    host == domain || (below && host.parse::<IpAddr>().is_err())
}

/// Section 5.1.4.
fn path_match(request: &[u8], cookie: &[u8]) -> bool {
    let rest = request.strip_prefix(cookie);
    rest.is_some_and(|rest| rest.is_empty() || cookie.ends_with(b"/") || rest.starts_with(b"/"))
}

fn default_path(request: &str) -> &[u8] {
    match request.rfind('/') {
        Some(end) if end > 0 && request.starts_with('/') => &request.as_bytes()[..end],
        _ => b"/",
    }
}

/// Section 5.1.1, in seconds since 1970.
fn http_date(text: &[u8]) -> Option<i64> {
    const MONTHS: [&[u8]; 12] =
        [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];
    let is_delimiter = |byte: &u8| matches!(byte, 0x09 | 0x20..=0x2f | 0x3b..=0x40 | 0x5b..=0x60 | 0x7b..=0x7e);
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i64>().ok();
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        let lower = token.to_ascii_lowercase();
        let fields: Vec<_> = token.split(|byte| *byte == b':').filter_map(number).collect();
        let named = MONTHS.iter().position(|name| lower.starts_with(name));
        match (&*fields, token.len()) {
            (&[h, m, s], _) if time.is_none() => time = Some((h <= 23 && m <= 59 && s <= 59, h * 3600 + m * 60 + s)),
            (&[number], 1 | 2) if day.is_none() => day = Some(number),
            (&[number], 4) if year.is_none() => year = Some(number),
            _ if month.is_none() && named.is_some() => month = named,
            _ => {}
        }
    }
    let ((valid, seconds), day, month, year) = (time?, day?, i64::try_from(month?).ok()? + 1, year?);
    if !valid || !(1..=31).contains(&day) || year < 1601 {
        return None;
    }
    // Days from civil: years begin in March, so that the leap day is the last of its year.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let days = shifted_year * 365 + leap_days + (153 * shifted_month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + seconds)
}

fn split_at_equals(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'=') {
        Some(at) => (trim(&text[..at]), trim(&text[at + 1..])),
        None => (trim(text), &[]),
    }
}

fn trim(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}

const HTTPS: Visit<'_> = Visit { https: true, host: "www.example.org", path: "/app/page", from: From::SameSite };
const HTTP: Visit<'_> = Visit { https: false, ..HTTPS };
const FRAME: Visit<'_> = Visit { from: From::Frame, ..HTTPS };

#[test]
fn the_model_ignores_what_browsers_ignore() {
    use Ignored::{
        ControlCharacter, Empty, OtherDomain, OtherSite, PartitionedWithoutSecure, Prefix, PublicSuffix,
        SameSiteNoneWithoutSecure, SecureOverHttp, TooLong,
    };
    let long = format!("a={}", "x".repeat(4096));
    for (visit, header, reason) in [
        (HTTPS, "a=\x01", ControlCharacter),
        (HTTPS, "=; Path=/", Empty),
        (HTTPS, &*long, TooLong),
        (HTTPS, "a=1; Domain=org", PublicSuffix),
        (HTTPS, "a=1; Domain=example.com", OtherDomain),
        (HTTPS, "a=1; Domain=ample.org", OtherDomain),
        (HTTP, "a=1; Secure", SecureOverHttp),
        (FRAME, "a=1; Secure; SameSite=Lax", OtherSite),
        (FRAME, "a=1; Secure", OtherSite),
        (HTTPS, "a=1; SameSite=None", SameSiteNoneWithoutSecure),
        (HTTPS, "a=1; Partitioned", PartitionedWithoutSecure),
        (HTTPS, "__SECURE-a=1", Prefix),
        (HTTPS, "__host-a=1; Secure", Prefix),
        (HTTPS, "__Host-a=1; Secure; Path=/app", Prefix),
        (HTTPS, "__Host-a=1; Secure; Path=/; Domain=www.example.org", Prefix),
        (HTTPS, "__Http-a=1; Secure", Prefix),
        (HTTPS, "__Host-Http-a=1; Secure; Path=/", Prefix),
        (HTTPS, "__Host-Http-a=1; Secure; HttpOnly", Prefix),
        (HTTPS, "=__Host-a=1; Secure; Path=/", Prefix),
        (HTTPS, "__Host-a", Prefix),
    ] {
        assert_eq!(UserAgent::new(&TestClock::default()).receive(&visit, header.as_bytes()), Err(reason), "{header}");
    }
}

#[test]
fn the_model_sends_what_browsers_send() {
    for (header, sent) in [
        (" a = 1 ", Some("a=1")),
        ("a=1; Domain=.EXAMPLE.org; Path=/app; Secure; HttpOnly", Some("a=1")),
        ("a=1; Path=/app/page", Some("a=1")),
        ("a=1; Path=/ap", None),
        ("a=1; Path=app", Some("a=1")),
        ("a=\"1\"", Some("a=\"1\"")),
        ("1", Some("1")),
        ("__Host-Http-a=1; Secure; Path=/; HttpOnly", Some("__Host-Http-a=1")),
        ("a=1; Max-Age=0", None),
        ("a=1; Max-Age=-5; Expires=Fri, 01 Jan 2027 00:00:00 GMT", None),
        ("a=1; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT", Some("a=1")),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("a=1; Expires=Wed, 01 Jan 2025 00:00:01 GMT", Some("a=1")),
        ("a=1; Max-Age=x", Some("a=1")),
    ] {
        let mut browser = UserAgent::new(&TestClock::default());
        browser.receive(&HTTPS, header.as_bytes()).unwrap();
        assert_eq!(browser.cookie_header(&HTTPS).as_deref(), sent.map(str::as_bytes), "{header}");
    }
}

#[test]
fn the_model_forgets_after_400_days_and_when_it_is_quit() {
    let clock = TestClock::default();
    let mut browser = UserAgent::new(&clock);
    browser.receive(&HTTPS, b"short=1").unwrap();
    browser.receive(&HTTPS, b"long=1; Max-Age=99999999999999999999").unwrap();
    browser.quit();
    assert_eq!(browser.cookie_header(&HTTPS).as_deref(), Some(&b"long=1"[..]));
    clock.advance(std::time::Duration::from_secs(400 * 86_400 - 1));
    assert_eq!(browser.count(), 1);
    clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(browser.count(), 0);
}

#[test]
fn the_model_keeps_plain_http_from_touching_a_secure_cookie() {
    let mut browser = UserAgent::new(&TestClock::default());
    browser.receive(&HTTPS, b"a=1; Secure; Path=/").unwrap();
    assert_eq!(browser.receive(&HTTP, b"a=2; Path=/app"), Err(Ignored::HidesSecureCookie));
    assert_eq!(browser.cookie_header(&HTTP), None);
}

#[test]
fn the_model_keeps_partitions_and_sites_apart() {
    let mut browser = UserAgent::new(&TestClock::default());
    browser.receive(&FRAME, b"p=1; Secure; SameSite=None; Partitioned; Path=/").unwrap();
    browser.receive(&HTTPS, b"n=1; Secure; SameSite=None; Path=/").unwrap();
    browser.receive(&HTTPS, b"l=1; SameSite=Lax; Path=/").unwrap();
    browser.receive(&HTTPS, b"s=1; SameSite=Strict; Path=/").unwrap();
    let mut sent = |from| String::from_utf8(browser.cookie_header(&Visit { from, ..HTTPS }).unwrap()).unwrap();
    assert_eq!(sent(From::SameSite), "n=1; l=1; s=1");
    assert_eq!(sent(From::Link), "n=1; l=1");
    assert_eq!(sent(From::Frame), "p=1; n=1");
}
