//! The guide: a chapter for each topic, with examples that run.
//!
//! To begin
//!
//! 1. [Start](start): from nothing to a login
//! 2. [Data](data): values, lists, counters, bags
//! 3. [Flash](flash): values for the next page
//! 4. [Life](life): login, timeouts, consent
//! 5. [Users](devices): recent logins, devices, how many at once
//! 6. [Forged requests](csrf): forms that only your own pages can send
//! 7. [Templates](templates)
//! 8. [Cookbook](cookbook): short recipes
//!
//! More kinds of sessions
//!
//! 9. [Several](several): named sessions, namespaces
//! 10. [Transports](transports): cookies and headers
//! 11. [Without HTTP](without_http)
//! 12. [Live](live): WebSockets, server-sent events, tasks
//!
//! Stores
//!
//! 13. [Stores](stores): where sessions are kept
//! 14. [A store of your own](own_store): how to write one
//! 15. [Sealed records](sealed): stores that cannot read, keys and how they are changed, sessions in the cookie
//!
//! In production
//!
//! 16. [Configuration](configuration): files, environment, codecs
//! 17. [Security](security): what is left to you, and what there is beyond the defaults
//! 18. [Threats](threats): what is protected from whom, and the test for each demand of the standards
//! 19. [Failures](failures): what happens if
//! 20. [Operations](operations): sizing, the servers' settings, sweeping, backups, upgrades
//! 21. [Events](events): what operators are told, metrics
//! 22. [The command](command): looking into a store, ending sessions, moving them
//! 23. [Testing](testing) your application
//!
//! From elsewhere
//!
//! 24. [Comparison](compare): facts and figures on this crate and others
//! 25. [Coming from](coming_from) tower-sessions, axum_session or actix-session
//! 26. [Their visitors](predecessor) stay logged in
//! 27. [Features](features): what there is, where it comes from, and which test proves it

// Its links and examples need what they speak of.
#![cfg(all(
    feature = "axum",
    feature = "compression",
    feature = "config",
    feature = "file",
    feature = "memcached",
    feature = "message-pack",
    feature = "mysql",
    feature = "pepper",
    feature = "postgres",
    feature = "redis",
    feature = "sealed",
    feature = "sqlite",
    feature = "testing",
    feature = "tower-sessions"
))]

macro_rules! chapters {
    ($($chapter:ident),* $(,)?) => {$(
        #[doc = include_str!(concat!("../docs/guide/", stringify!($chapter), ".md"))]
        pub mod $chapter {}
    )*};
}

chapters! {
    start,
    data,
    flash,
    life,
    devices,
    csrf,
    templates,
    cookbook,
    several,
    transports,
    without_http,
    live,
    stores,
    own_store,
    sealed,
    configuration,
    security,
    failures,
    operations,
    events,
    command,
    testing,
    coming_from,
    predecessor,
    features,
}

#[doc = include_str!("../SECURITY.md")]
pub mod threats {}

#[doc = include_str!("../COMPARE.md")]
pub mod compare {}
