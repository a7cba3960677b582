//! Which server has a session.

use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};

/// A server and its share of the sessions.
///
/// ```
/// use cloakroom::MemcachedServer;
///
/// let twice_as_large = MemcachedServer::new("cache-2:11211").weight(2);
/// assert_eq!(twice_as_large, MemcachedServer::from(("cache-2:11211", 2)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemcachedServer {
    pub(super) address: String,
    weight: u32,
}

impl MemcachedServer {
    /// From `host:port`, with the weight 1.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), weight: 1 }
    }

    /// How many sessions it gets in relation to the others. With 0 it gets none, unless all have 0.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }
}

impl From<&str> for MemcachedServer {
    fn from(address: &str) -> Self {
        Self::new(address)
    }
}

impl From<String> for MemcachedServer {
    fn from(address: String) -> Self {
        Self::new(address)
    }
}

impl From<SocketAddr> for MemcachedServer {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.to_string())
    }
}

impl<A: Into<String>> From<(A, u32)> for MemcachedServer {
    fn from((address, weight): (A, u32)) -> Self {
        Self::new(address).weight(weight)
    }
}

/// Weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): every server draws a number for every key, and the
/// one with the highest has it.
///
/// Not the client's own: that one has no weights, and hashes with an algorithm that may change with the compiler, so
/// that two processes would disagree.
#[derive(Clone, Debug)]
pub(super) struct Places(Vec<(u64, f64)>);

impl Places {
    pub(super) fn new(servers: &[MemcachedServer]) -> Self {
        let place = |server: &MemcachedServer| (hash(server.address.as_bytes()), f64::from(server.weight));
        Self(servers.iter().map(place).collect())
    }

    /// The index of the server that has the key.
    pub(super) fn of(&self, key: &[u8]) -> usize {
        let key = hash(key);
        let score = |(seed, weight): &(u64, f64)| weight / -draw(mix(seed ^ key)).ln();
        let scores = self.0.iter().map(score).enumerate();
        scores.max_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(0, |(index, _)| index)
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// The finalizer of `SplitMix64`.
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

/// Between 0 and 1, both excluded.
#[allow(clippy::cast_precision_loss, reason = "52 bits fit")]
fn draw(hash: u64) -> f64 {
    ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(servers: &[(&str, u32)]) -> Places {
        Places::new(&servers.iter().copied().map(MemcachedServer::from).collect::<Vec<_>>())
    }

    fn keys() -> impl Iterator<Item = String> {
        (0..8_000).map(|n| format!("cloakroom:{n:032x}"))
    }

    #[test]
    fn sessions_are_spread_by_weight() {
        let places = places(&[("a:1", 1), ("b:1", 2), ("c:1", 0), ("d:1", 5)]);
        let mut counts = [0_u32; 4];
        keys().for_each(|key| counts[places.of(key.as_bytes())] += 1);
        for (count, expected) in counts.into_iter().zip([1_000, 2_000, 0, 5_000]) {
            // Five standard deviations.
            assert!(count.abs_diff(expected) < 220, "{counts:?}");
        }
    }

    #[test]
    fn only_the_sessions_of_a_server_that_is_removed_move() {
        let names = ["a:1", "b:1", "c:1"];
        let all = places(&[("a:1", 3), ("b:1", 2), ("c:1", 1)]);
        // In another order, too.
        let (rest, rest_names) = (places(&[("c:1", 1), ("a:1", 3)]), ["c:1", "a:1"]);
        for key in keys() {
            let before = names[all.of(key.as_bytes())];
            let after = rest_names[rest.of(key.as_bytes())];
            assert!(before == "b:1" || before == after, "{key}");
        }
    }

    /// What is written by one version of this crate has to be found by the next.
    #[test]
    fn places_never_change() {
        let places = places(&[("a:1", 1), ("b:1", 2), ("c:1", 3)]);
        let found: Vec<_> = keys().take(12).map(|key| places.of(key.as_bytes())).collect();
        assert_eq!(found, [2, 2, 2, 1, 2, 1, 2, 2, 1, 2, 2, 1]);
    }
}
