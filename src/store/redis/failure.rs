//! What an error of the client means for a session.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::StoreError;

pub(super) fn to_store_error(error: RedisError) -> StoreError {
    if is_passing(&error) { StoreError::unavailable(error) } else { StoreError::other(error) }
}

/// Whether the same command may succeed later, with nobody having changed the configuration.
pub(super) fn is_passing(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask,
        ) => true,
        ErrorKind::Server(ServerErrorKind::ResponseError) => {
            is_read_only(error) || error.detail().is_some_and(|detail| detail.contains("max number of clients"))
        }
        _ => is_read_only(error) || matches!(error.code(), Some("BUSY" | "NOREPLICAS")),
    }
}

/// Whether the server is a replica, as a master becomes one at a failover.
pub(super) fn is_read_only(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ReadOnly) => true,
        // Before Redis 7 a failure inside a script hides the code.
        ErrorKind::Server(ServerErrorKind::ResponseError) => {
            error.detail().is_some_and(|detail| detail.contains("-READONLY"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use redis::{ErrorKind, RedisError};

    use super::to_store_error;
    use crate::error::StoreErrorKind;

    fn of_server(answer: &str) -> StoreErrorKind {
        let value = redis::parse_redis_value(format!("-{answer}\r\n").as_bytes()).unwrap();
        to_store_error(value.extract_error().unwrap_err()).kind()
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for answer in [
            "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "CLUSTERDOWN The cluster is down",
            "MASTERDOWN Link with MASTER is down",
            "READONLY You can't write against a read only replica.",
            "ERR Error running script: @user_script: 1: -READONLY You can't write against a read only replica.",
            "NOREPLICAS Not enough good replicas to write.",
            "ERR max number of clients reached",
        ] {
            assert_eq!(of_server(answer), StoreErrorKind::Unavailable, "{answer}");
        }
        for answer in [
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "NOAUTH Authentication required.",
            "WRONGPASS invalid username-password pair or user is disabled.",
            "NOPERM this user has no permissions to run the 'evalsha' command",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "MISCONF Redis is configured to save RDB snapshots",
            "ERR Error running script",
        ] {
            assert_eq!(of_server(answer), StoreErrorKind::Other, "{answer}");
        }
        let timed_out = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        assert_eq!(to_store_error(timed_out).kind(), StoreErrorKind::Unavailable);
        let refused = RedisError::from((ErrorKind::AuthenticationFailed, "no"));
        assert_eq!(to_store_error(refused).kind(), StoreErrorKind::Other);
    }
}
