//! What caches may do with answers that depend on a session (RFC 9111).

use http::header::{CACHE_CONTROL, Entry, OccupiedEntry, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

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
    match headers.entry(CACHE_CONTROL) {
        Entry::Occupied(said) if is_kept_back(&said) => {}
        Entry::Occupied(mut said) => drop(said.insert(NO_STORE)),
        Entry::Vacant(said) => drop(said.insert(NO_STORE)),
    }
    // What is aimed at some caches outranks for them what is said to all (RFC 9213 section 2.2).
    let targeted: Vec<_> = headers.keys().filter(|name| is_targeted(name)).cloned().collect();
    for name in targeted {
        headers.remove(name);
    }
}

/// Whether no shared cache keeps the answer as it is. `private="set-cookie"` is not `private`: it keeps back a field, and the rest may
/// be stored. And who understands `must-understand` may pass over `no-store` (RFC 9111 section 5.2.2.3).
fn is_kept_back(said: &OccupiedEntry<'_, HeaderValue>) -> bool {
    let says = |directive| says(said.iter(), directive);
    says("private") || (says("no-store") && !says("must-understand"))
}

/// Whether a header is `Cache-Control` for some caches alone: `CDN-Cache-Control`, and those of single vendors.
fn is_targeted(name: &HeaderName) -> bool {
    name.as_str().ends_with("-cache-control") || name == "surrogate-control"
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
            (&["must-understand, no-store, max-age=60"], "no-store"),
            (&["private, must-understand, no-store"], "private, must-understand, no-store"),
        ] {
            let mut headers = headers(&CACHE_CONTROL, before);
            forbid_storing(&mut headers);
            assert_eq!(headers[CACHE_CONTROL], after, "{before:?}");
            assert_eq!(headers.get_all(CACHE_CONTROL).iter().count(), 1);
        }
    }

    #[test]
    fn nor_is_any_cache_told_otherwise() {
        let mut headers = HeaderMap::new();
        let targeted = ["cdn-cache-control", "surrogate-control", "cloudflare-cdn-cache-control"];
        for name in targeted.into_iter().chain(["x-cache", "cache-control"]) {
            headers.append(name, HeaderValue::from_static("max-age=60"));
        }
        forbid_storing(&mut headers);
        assert_eq!(headers.len(), 2);
        assert_eq!(
            (headers["x-cache"].as_bytes(), headers[CACHE_CONTROL].as_bytes()),
            (&b"max-age=60"[..], &b"no-store"[..])
        );
    }
}
