//! What is configured, in words (ASVS 7.1.1).

use std::time::Duration;

use cloakroom::{
    Limits, MemoryStore, OnMismatch, SameSite, SessionCookie, SessionHeader, SessionLayer, SessionPolicy, SiteData,
    Transport, WhenFull,
};

/// What is shown to a reader of the documentation, word by word.
#[test]
fn asvs_7_1_1_a_layer_describes_timeouts_cookie_and_limits() {
    let transport = Transport::from(SessionCookie::new("shop").same_site(SameSite::Strict));
    let sessions = SessionLayer::new(MemoryStore::new())
        .transport(transport.or(SessionHeader::bearer()))
        .unwrap()
        .policy(
            SessionPolicy::aal2()
                .idle(Duration::from_mins(30))
                .max_sessions(3, WhenFull::EndOldest)
                .rotate_every(Duration::from_mins(15), Duration::from_mins(1)),
        )
        .unwrap()
        .limits(Limits::default().data_bytes(4096))
        .unwrap()
        .bind(OnMismatch::EventOnly, |request| request.headers.get("user-agent").cloned())
        .clear_site_data([SiteData::Cache, SiteData::Storage]);
    assert_eq!(sessions.describe(), "\
| | | asked for by |
|---|---|---|
| ends after an inactivity of | 30 minutes | ASVS 7.3.1 |
| which is measured to | 3 minutes |  |
| ends in any case after its beginning or last login by | 24 hours | ASVS 7.3.2 |
| these two are within | NIST SP 800-63B-4 AAL2 (section 2.2.3: at most 1 hour of inactivity, 24 hours overall) | ASVS 7.1.1 |
| gets a new secret | at each login and whenever the user shows again who they are; the old one is dead at once | ASVS 7.2.4 |
| gets a new secret in passing | when it is used 15 minutes after the last; the old one is good for 1 minute after the new one has arrived, and who shows it later ends the session | OWASP Session Management Cheat Sheet |
| ends at a logout | at once, and is deleted from the store | ASVS 7.4.1 |
| is kept by the browser when that is closed | no, except where the application remembers the user | NIST SP 800-63B-4 section 5.1 |
| begins | when something is written to it; reading stores nothing and sets no cookie | ASVS 7.6.2 |
| of one user at a time | 3; one login more ends the session that has gone longest without one | ASVS 7.1.2 |
| the client's token, in each answer that changes it | `Set-Cookie: __Host-shop=<token>; HttpOnly; SameSite=Strict; Secure; Path=/` | ASVS 3.3.1 to 3.3.4, NIST SP 800-63B-4 section 5.1.1 |
| the client's token, in each answer that changes it | `authorization: Bearer <token>` |  |
| is bound to more than its token | a request that does not show it is reported | ASVS 8.2.4 |
| has the browser clear at a logout | `Clear-Site-Data: \"cache\", \"storage\"` | ASVS 14.3.1 |
| data of a session | at most 4096 bytes |  |
| nesting of its values | at most 32 levels |  |
| a call to the store | at most 5 seconds |  |
| all calls that store one request | at most 15 seconds |  |
");
    let strict = SessionLayer::new(MemoryStore::new()).bind(OnMismatch::Anonymous, |_| Some("a server"));
    assert!(strict.describe().contains("| a request that does not show it has no session |"));
    let insecure = SessionLayer::new(MemoryStore::new()).transport(SessionCookie::new_for_http("id")).unwrap();
    assert!(insecure.describe().contains("`Set-Cookie: id=<token>; HttpOnly; SameSite=Lax; Path=/`"));
}
