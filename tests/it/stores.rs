//! Every store keeps the same contract, against its real server.

mod cached;
mod file;
mod memcached;
mod memory;
mod migrating;
mod mysql;
mod postgres;
mod redis;
mod redis_cluster;
mod redis_sentinel;
mod sql;
mod sqlite;
mod timeout;
mod tower_sessions;
