//! The contract of [`SessionStore`] as a test suite, for every store of this crate and for yours.
//!
//! # Example: test a store of your own
//!
//! ```
//! # use cloakroom::MemoryStore as MyStore;
//! #[tokio::test]
//! async fn my_store_keeps_the_contract() {
//!     cloakroom::testing::conformance::check(async || MyStore::new()).await;
//! }
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(
//! #     cloakroom::testing::conformance::check(async || MyStore::new()));
//! ```
//!
//! Each case is run on the store by value, in a `Box<dyn SessionStore>` and in an `Arc<dyn SessionStore>`. A case that fails
//! panics with its name and with what the contract demands. The store may be shared with other tests: every case
//! uses ids and users of its own.
//!
//! [`check_unreachable`] is for a store whose server is gone: every method has to say so, and soon.

#![allow(clippy::unwrap_used, reason = "a test suite: it panics where the contract is broken")]

mod cases;
mod of_users;
mod through_sessions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::store::{SessionStore, StoreErrorKind};

/// What the suite has to know of a store.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Settings {
    max_payload: usize,
    deletes_expired: bool,
    concurrent_savers: usize,
}

impl Default for Settings {
    /// Payloads up to 1 MB, expired records stay until they are [deleted](SessionStore::delete_expired), 1,000 concurrent savers.
    fn default() -> Self {
        Self { max_payload: 1_000_000, deletes_expired: true, concurrent_savers: 1_000 }
    }
}

impl Settings {
    /// The largest payload that the store takes, in bytes, as its docs name it. One of twice the size has to be refused as
    /// [`TooLarge`](StoreErrorKind::TooLarge), unless this is 1 MB or more.
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// The store cleans up by itself, so that `expired` finds nothing.
    pub const fn cleans_up_by_itself(mut self) -> Self {
        self.deletes_expired = false;
        self
    }

    /// How many requests save one session at the same time. Fewer than 1,000 for a store that would take minutes.
    pub const fn concurrent_savers(mut self, savers: usize) -> Self {
        self.concurrent_savers = savers;
        self
    }
}

/// Runs the whole contract on the stores that `make` makes; they may share their records or not.
///
/// Needs a tokio runtime with time and, for the races to be worth something, with several threads.
///
/// # Panics
///
/// If the contract is broken: with the name of the case.
pub async fn check<S: SessionStore>(make: impl AsyncFn() -> S) {
    check_with(Settings::default(), make).await;
}

/// As [`check`], for stores that need [`Settings`].
///
/// # Panics
///
/// If the contract is broken: with the name of the case.
pub async fn check_with<S: SessionStore>(settings: Settings, make: impl AsyncFn() -> S) {
    run(settings, Arc::new(make().await)).await;
    let boxed: Box<dyn SessionStore> = Box::new(make().await);
    run(settings, Arc::new(boxed)).await;
    let shared: Arc<dyn SessionStore> = Arc::new(make().await);
    run(settings, Arc::new(shared)).await;
}

/// Calls a store whose server is gone: every method but those for a sweeper, for which a store that cleans up by itself has no
/// server to ask.
///
/// # Panics
///
/// If one of them succeeds, takes longer than `deadline`, or fails with another kind than
/// [`Unavailable`](StoreErrorKind::Unavailable) or [`TimedOut`](StoreErrorKind::TimedOut).
pub async fn check_unreachable(store: impl SessionStore, deadline: Duration) {
    let (now, record) = (cases::NOW, cases::new_record(None));
    macro_rules! fails {
        ($call:expr) => {{
            let started = Instant::now();
            let error = $call.await.expect_err(stringify!($call));
            let took = started.elapsed();
            assert!(took <= deadline, "{} took {took:?}", stringify!($call));
            assert!(
                matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::TimedOut),
                "{}: {error:?}",
                stringify!($call)
            );
        }};
    }
    fails!(store.create(&record, now));
    fails!(store.load(record.id, now));
    fails!(store.save(&record, 1, now));
    fails!(store.touch(record.id, 1, record.expires_at, now));
    fails!(store.delete(record.id));
    if let Some(index) = store.user_index() {
        fails!(index.records_of("ada", now));
    }
    if let Some(inventory) = store.inventory() {
        fails!(inventory.page(None, 10));
    }
    if let Some(fresh) = store.fresh_reads() {
        fails!(fresh.load_fresh(record.id, now));
    }
}

async fn run(settings: Settings, store: Arc<dyn SessionStore>) {
    macro_rules! cases {
        ($($module:ident: $($case:ident),* $(,)?;)*) => {$($(
            let case = tokio::spawn($module::$case(store.clone(), settings));
            if let Err(error) = case.await {
                std::panic::panic_any(format!(
                    "{:?} does not keep the contract: {}: {error}", store, stringify!($case)
                ));
            }
        )*)*};
    }
    cases! {
        cases:
            a_created_record_comes_back_as_it_was,
            create_never_overwrites,
            create_takes_the_place_of_what_has_expired,
            create_does_not_mind_a_sweep,
            save_replaces_the_expected_version,
            save_of_another_version_is_a_conflict,
            nothing_is_written_after_delete,
            an_unknown_id_is_gone,
            touch_moves_the_expiry_and_nothing_else,
            touch_of_another_version_is_a_conflict,
            expiry_is_exact,
            an_expired_record_stays_dead,
            ids_are_compared_exactly,
            payloads_come_back_byte_for_byte,
            a_payload_beyond_the_limit_is_refused,
            expired_records_are_listed_until_they_are_deleted,
            expired_records_are_deleted_in_batches,
            of_many_savers_one_wins,
            of_many_creators_one_wins,
            the_user_index_follows,
            users_are_compared_exactly,
            fresh_reads_see_everything,
            an_inventory_has_everything,
            an_inventory_misses_nothing_while_others_come_and_go;
        through_sessions:
            concurrent_counts_add_up,
            two_fields_of_one_bag_both_survive,
            a_flash_value_is_shown_once,
            a_slow_request_does_not_bring_a_session_back,
            a_detached_session_ends_with_a_logout_elsewhere,
            a_detached_session_ends_with_a_login_elsewhere,
            a_detached_session_expires,
            a_swapped_record_is_not_served,
            a_scrambled_record_is_not_served_and_stays;
        of_users:
            without_a_user_index_it_is_said_so,
            sessions_of_a_user_are_listed_and_revoked,
            asvs_7_4_2_no_writer_survives_the_end_of_all,
            a_scrambled_session_is_not_listed_and_reported,
            asvs_7_1_2_of_many_logins_at_once_the_newest_stay,
            asvs_7_1_2_a_session_with_a_new_login_is_not_the_oldest,
            asvs_7_1_2_of_many_logins_at_once_the_first_stay,
            asvs_7_1_2_a_limit_holds_after_a_long_time_too;
    }
}
