//! Seats: how a user stays within a number of sessions where it is the newest login that is refused.
//!
//! Of two logins at once neither sees the other's session before both are stored, and then it is too late to refuse one
//! without harm to what the visitor had before. So each takes a seat first, in a record for each user that changes by
//! compare-and-swap, and gives it back once its session can be seen. A seat whose owner has died is free again after a while.

use std::sync::Arc;
use std::time::Duration;

use super::{Backoff, Engine, deadline};
use crate::clock::Timestamp;
use crate::data::Data;
use crate::error::{ErrorKind, SessionError};
use crate::policy::WhenFull;
use crate::record::{DecodeError, Version};
use crate::state::{Identity, Work, newer_format};
use crate::store::{CreateOutcome, SaveOutcome};
use crate::token::SessionId;

/// How long the record of a user's seats is kept: long enough that no write to it is still under way when it goes.
const KEPT: Duration = Duration::from_hours(24);

/// A seat that was taken for a session.
#[derive(Debug)]
pub(super) struct Seat {
    user: Arc<str>,
    id: SessionId,
}

/// Who has a seat, and until when.
struct Seats {
    id: SessionId,
    version: Version,
    taken: Vec<(SessionId, Timestamp)>,
}

impl Engine {
    /// Takes a seat for a login, if the policy wants it to have one.
    pub(super) async fn take_seat(&self, work: &mut Work) -> Result<Option<Seat>, SessionError> {
        let Some((most, WhenFull::RefuseNewest)) = self.terms.policy.most_sessions() else { return Ok(None) };
        // A login that may have been stored has its seat.
        if work.is_unsure() {
            return Ok(None);
        }
        let Some((id, user)) = work.login()? else { return Ok(None) };
        let (seat, limit) = (Seat { user, id }, self.terms.limits.max_commit_time());
        deadline::within(limit, Box::pin(self.seat(&seat, most))).await.unwrap_or_else(|| Err(contended()))?;
        Ok(Some(seat))
    }

    /// Gives a seat back. If that fails, it is free when its time is over.
    pub(super) async fn leave_seat(&self, seat: &Seat) {
        let mut backoff = Backoff::default();
        let leave = async {
            while let Ok(mut seats) = self.seats_of(&seat.user).await {
                seats.taken.retain(|(id, _)| *id != seat.id);
                if let Ok(true) | Err(_) = self.store_seats(seats).await {
                    return;
                }
                backoff.wait().await;
            }
        };
        deadline::within(self.terms.limits.max_commit_time(), Box::pin(leave)).await;
    }

    async fn seat(&self, seat: &Seat, most: usize) -> Result<(), SessionError> {
        let mut backoff = Backoff::default();
        loop {
            // In this order: whoever has left their seat by now is seen with their session.
            let mut seats = self.seats_of(&seat.user).await?;
            seats.taken.retain(|(id, _)| *id != seat.id);
            let sessions = self.sessions_of(&seat.user).await?;
            let seated = seats.taken.iter().filter(|(id, _)| sessions.iter().all(|session| session.id != *id)).count();
            let others = sessions.iter().filter(|session| session.id != seat.id).count() + seated;
            if others >= most {
                return Err(too_many(most));
            }
            // What this commit still has to do takes this long at most.
            let limits = &self.terms.limits;
            let until =
                self.clock.now().saturating_add(limits.max_commit_time().saturating_add(limits.max_operation_time()));
            seats.taken.push((seat.id, until));
            if self.store_seats(seats).await? {
                return Ok(());
            }
            backoff.wait().await;
        }
    }

    async fn seats_of(&self, user: &str) -> Result<Seats, SessionError> {
        let (id, now) = (self.id_of("seats", user), self.clock.now());
        let Some(record) = self.load(id, now).await? else {
            return Ok(Seats { id, version: 0, taken: Vec::new() });
        };
        let version = record.version;
        let contents = match self.terms.identify(record, now) {
            Identity::Ours(contents) => Some(contents),
            Identity::Unreadable(DecodeError::Newer) => return Err(newer_format()),
            // Nothing is known of any seats: as when there are none. The sessions are counted all the same.
            _ => None,
        };
        let taken =
            contents.iter().flat_map(|contents| contents.data.members().filter_map(|(id, until)| entry(&id, until)));
        Ok(Seats { id, version, taken: taken.filter(|(_, until)| now < *until).collect() })
    }

    /// `false` if others were faster.
    async fn store_seats(&self, seats: Seats) -> Result<bool, SessionError> {
        let (id, now) = (seats.id, self.clock.now());
        let expires_at = now.saturating_add(KEPT);
        let mut data = Data::default();
        for (id, until) in &seats.taken {
            data.set_member(&id.to_string(), &until.as_millis().to_string());
        }
        let record = self.closed_record(id, seats.version + 1, expires_at, data)?;
        if seats.version > 0 {
            let outcome = self.call("save", self.store_of_all().save(&record, seats.version, now)).await?;
            return Ok(outcome == SaveOutcome::Saved);
        }
        let outcome = self.call("create", self.store_of_all().create(&record, now)).await?;
        Ok(outcome == CreateOutcome::Created)
    }
}

fn entry(id: &str, until: &str) -> Option<(SessionId, Timestamp)> {
    Some((id.parse().ok()?, Timestamp::from_millis(until.parse().ok()?)))
}

fn too_many(most: usize) -> SessionError {
    SessionError::new(
        ErrorKind::TooManySessions,
        format!(
            "the user has {most} sessions already, as many as SessionPolicy::max_sessions allows; nobody was logged in: \
             log out elsewhere, or wait until a session expires"
        ),
    )
}

fn contended() -> SessionError {
    SessionError::new(
        ErrorKind::Contended,
        "others of this user logged in again and again until Limits::commit_timeout was over, or the store was slow; \
         nobody was logged in: try again",
    )
}
