//! What caches may do with answers that depend on a session (RFC 9111).

use http::header::{CACHE_CONTROL, Entry, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What is said to some caches alone (RFC 9213).
static TARGETED: [HeaderName; 2] =
    [HeaderName::from_static("cdn-cache-control"), HeaderName::from_static("surrogate-control")];

/// The answer depends on this header of the request (RFC 9110 section 12.5.5).
pub(super) fn vary_by(headers: &mut HeaderMap, name: &HeaderName) {
    let says = |said: &str| said == "*" || said.eq_ignore_ascii_case(name.as_str());
    match headers.entry(VARY) {
        Entry::Vacant(vary) => drop(vary.insert(name.clone().into())),
        Entry::Occupied(vary) if vary.iter().any(|value| list(value).any(says)) => {}
        Entry::Occupied(mut vary) => vary.append(name.clone().into()),
    }
}

/// No cache, shared or not, keeps an answer that hands out a token, unless the handler has seen to it already.
pub(super) fn forbid_storing(headers: &mut HeaderMap) {
    // `private="set-cookie"` is not `private`: it keeps back a field, and shared caches may store the rest.
    match headers.entry(CACHE_CONTROL) {
        Entry::Occupied(said) if ["private", "no-store"].iter().any(|kept| says(said.iter(), kept)) => {}
        Entry::Occupied(mut said) => drop(said.insert(NO_STORE)),
        Entry::Vacant(said) => drop(said.insert(NO_STORE)),
    }
    // What is aimed at some caches outranks for them what is said to all (RFC 9213 section 2.2).
    // Most answers have none: a look at the few names that there are is cheaper than the hash of these.
    if headers.keys().any(|name| TARGETED.contains(name)) {
        for targeted in &TARGETED {
            headers.remove(targeted);
        }
    }
}

/// Whether the handler wants everybody's caches to keep the answer.
pub(super) fn is_public(headers: &HeaderMap) -> bool {
    says(headers.get_all(CACHE_CONTROL).iter(), "public")
}

fn says<'a>(mut values: impl Iterator<Item = &'a HeaderValue>, directive: &str) -> bool {
    values.any(|value| list(value).any(|said| said.eq_ignore_ascii_case(directive)))
}

fn list(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(|item| item.trim_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    fn headers(name: &http::HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn vary_names_the_cookie_once() {
        for (before, count) in [(&[][..], 1), (&["accept"], 2), (&["Cookie"], 1), (&["accept, cookie"], 1), (&["*"], 1)]
        {
            let mut headers = headers(&VARY, before);
            vary_by(&mut headers, &COOKIE);
            vary_by(&mut headers, &COOKIE);
            assert_eq!(headers.get_all(VARY).iter().count(), count, "{before:?}");
        }
    }

    #[test]
    fn answers_with_a_token_are_not_stored() {
        for (before, after) in [
            (&[][..], "no-store"),
            (&["public, max-age=60"], "no-store"),
            (&["max-age=60"], "no-store"),
            (&["no-cache"], "no-store"),
            (&["private, max-age=60"], "private, max-age=60"),
            (&["Private"], "Private"),
            (&["no-cache=\"set-cookie\", no-store"], "no-cache=\"set-cookie\", no-store"),
            (&["private=\"set-cookie\""], "no-store"),
        ] {
            let mut headers = headers(&CACHE_CONTROL, before);
            forbid_storing(&mut headers);
            assert_eq!(headers[CACHE_CONTROL], after, "{before:?}");
            assert_eq!(headers.get_all(CACHE_CONTROL).iter().count(), 1);
        }
    }
}
