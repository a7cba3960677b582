//! The guide: a chapter for each topic, with examples that run.
//!
//! 1. [Start](start): from nothing to a login
//! 2. [Data](data): values, lists, counters, bags
//! 3. [Flash](flash): values for the next page
//! 4. [Life](life): login, timeouts, consent
//! 5. [Users](devices): recent logins, devices, how many at once
//! 6. [Forged requests](csrf): forms that only your own pages can send
//! 7. [Several](several): named sessions, namespaces
//! 8. [Transports](transports): cookies and headers
//! 9. [Without HTTP](without_http)
//! 10. [Live](live): WebSockets, server-sent events, tasks
//! 11. [Templates](templates)
//! 12. [Configuration](configuration): files, environment, codecs
//! 13. [Stores](stores): where sessions are kept
//! 14. [Operations](operations): sizing, the servers' settings, sweeping, backups, upgrades
//! 15. [Sealed records](sealed): stores that cannot read, keys and how they are changed
//! 16. [Failures](failures): what happens if
//! 17. [Events](events): what operators are told, metrics
//! 18. [Testing](testing) your application
//! 19. [The command](command): looking into a store, ending sessions, moving them
//! 20. [Coming from](coming_from) tower-sessions, axum_session or actix-session
//! 21. [Their visitors](predecessor) stay logged in
//! 22. [Cookbook](cookbook): short recipes
//!
//! [Features](features) says what there is, where it comes from, and which test proves it.

// Its links and examples need what they speak of.
#![cfg(all(
    feature = "axum",
    feature = "compression",
    feature = "config",
    feature = "file",
    feature = "memcached",
    feature = "message-pack",
    feature = "mysql",
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
    several,
    transports,
    without_http,
    live,
    templates,
    configuration,
    stores,
    operations,
    sealed,
    failures,
    events,
    testing,
    command,
    coming_from,
    predecessor,
    cookbook,
    features,
}
