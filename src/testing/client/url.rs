//! Where a link or a `Location` leads (RFC 3986 section 5.2).

use http::Uri;

/// The address that `reference` names on a page at `base`; `None` if it is none of the web.
pub(super) fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    if has_scheme(reference) {
        return web_address(reference);
    }
    if reference.starts_with("//") {
        return web_address(&format!("{scheme}:{reference}"));
    }
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None if reference.is_empty() => ("", base.query()),
        None => (reference, None),
    };
    let folder = base.path().rfind('/').map_or("/", |end| &base.path()[..=end]);
    let path = match path {
        "" => base.path().to_owned(),
        path if path.starts_with('/') => without_dots(path),
        path => without_dots(&format!("{folder}{path}")),
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    web_address(&format!("{scheme}://{authority}{path}{query}"))
}

fn web_address(text: &str) -> Option<Uri> {
    let address: Uri = text.parse().ok()?;
    let of_web = matches!(address.scheme_str(), Some("http" | "https")) && address.host().is_some();
    of_web.then_some(address)
}

fn has_scheme(reference: &str) -> bool {
    let before_colon = reference.split_once(':').map(|(scheme, _)| scheme);
    let is_scheme = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    before_colon.is_some_and(is_scheme)
}

/// Without the segments `.` and `..`.
fn without_dots(path: &str) -> String {
    let mut kept = Vec::new();
    let segments: Vec<_> = path.split('/').skip(1).collect();
    for (at, segment) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        match *segment {
            "." | ".." => {
                if *segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_where_browsers_go() {
        let base: Uri = "https://www.example.org/a/b?c=d".parse().unwrap();
        for (reference, address) in [
            ("/x?y=z", "https://www.example.org/x?y=z"),
            ("x", "https://www.example.org/a/x"),
            ("./x", "https://www.example.org/a/x"),
            ("../x/", "https://www.example.org/x/"),
            ("/a/../../x/.", "https://www.example.org/x/"),
            ("?e=f", "https://www.example.org/a/b?e=f"),
            ("", "https://www.example.org/a/b?c=d"),
            ("#part", "https://www.example.org/a/b?c=d"),
            ("/x?to=https://other.example/", "https://www.example.org/x?to=https://other.example/"),
            ("//other.example/x", "https://other.example/x"),
            ("http://other.example", "http://other.example/"),
        ] {
            assert_eq!(resolve(&base, reference).unwrap().to_string(), address, "{reference}");
        }
        for reference in ["mailto:ada@example.org", "javascript:alert(1)", "https://", "/a b"] {
            assert_eq!(resolve(&base, reference), None, "{reference}");
        }
    }
}
