//! Servers on free ports, in temporary folders, stopped when dropped: those of the tests, with settings for measuring.

pub(crate) mod proxy;

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

#[allow(dead_code, unreachable_pub, clippy::pedantic)] // The tests use more of it.
#[path = "../../tests/it/support/server.rs"]
mod server;

pub(crate) use server::Server;

/// A folder that no disk keeps, where the machine has one.
pub(crate) fn folder_in_memory() -> std::io::Result<tempfile::TempDir> {
    let mut folder = tempfile::Builder::new();
    folder.prefix("cloakroom-bench-").tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// Redis without persistence, unless these options say otherwise: a `GET` has none to wait for either.
pub(crate) fn redis(options: &str) -> Option<Server> {
    let program = server::find("redis-server")?;
    Some(Server::start(
        &program,
        |_| {},
        |dir, port| {
            let text = format!("--port {port} --bind 127.0.0.1 --dir {} --daemonize no", dir.display());
            // `--save` with nothing after it turns snapshots off, and takes an empty word.
            let mut arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
            arguments.extend(["--save".to_owned(), String::new()]);
            arguments.extend(options.split_whitespace().map(str::to_owned));
            arguments
        },
    ))
}

pub(crate) fn redis_url(server: &Server) -> String {
    format!("redis://{}", server.address())
}

pub(crate) fn memcached() -> Option<Server> {
    let program = server::find("memcached")?;
    Some(Server::start(
        &program,
        |_| {},
        |_, port| ["-l", "127.0.0.1", "-p", &port.to_string(), "-U", "0", "-m", "4096"].map(str::to_owned).into(),
    ))
}

/// The address that [`MemcachedStore::connect`](cloakroom::MemcachedStore::connect) takes.
pub(crate) fn memcached_address(server: &Server) -> String {
    server.address().to_string()
}

/// Postgres with its own settings, fsync included.
pub(crate) fn postgres() -> Option<Server> {
    let (is_ready, server) = (server::find("pg_isready")?, server::postgres()?);
    let arguments = ["-q", "-t", "30", "-h", "127.0.0.1", "-p", &server.port.to_string()];
    // It accepts connections for a while before it serves them.
    while !Command::new(&is_ready).args(arguments).status().is_ok_and(|status| status.success()) {
        thread::sleep(Duration::from_millis(20));
    }
    Some(server)
}

pub(crate) fn postgres_url(server: &Server) -> String {
    format!("postgres://postgres@{}/postgres?sslmode=disable", server.address())
}

/// MariaDB with its own settings, fsync included. Its schema is `test`, once [`mariadb_url`] was asked for.
pub(crate) fn mariadb() -> Option<Server> {
    server::mariadb()
}

/// The URL of a database made for the purpose.
pub(crate) async fn mariadb_url(server: &Server) -> Result<String, sqlx::Error> {
    use sqlx::{Connection as _, Executor as _, MySqlConnection};
    let root = format!("mysql://root@{}", server.address());
    let mut connection = MySqlConnection::connect(&format!("{root}/mysql?ssl-mode=disabled")).await?;
    connection.execute("CREATE DATABASE IF NOT EXISTS bench").await?;
    connection.close().await?;
    Ok(format!("{root}/bench?ssl-mode=disabled"))
}

/// Keeps the server off the core that the measuring thread is on: it would be on another machine.
///
/// Threads that are started later stay with those that start them.
pub(crate) fn keep_apart(server: &Server) -> std::io::Result<()> {
    let mut others = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|core| others.is_set(*core));
    if let (Some(last), true) = (last, others.count() > 1) {
        others.unset(last);
    }
    for task in processes(server).into_iter().flat_map(tasks) {
        let task = task.file_name().to_str().and_then(|number| number.parse().ok()).and_then(Pid::from_raw);
        if task.is_some() {
            sched_setaffinity(task, &others)?;
        }
    }
    Ok(())
}

fn tasks(pid: u32) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten()
}

/// How long the server's processes have been on a core since they began, by the scheduler's own account.
pub(crate) fn cpu_time(server: &Server) -> Duration {
    let of = |pid: u32| -> u64 {
        let on_core = |task: fs::DirEntry| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        tasks(pid).filter_map(on_core).sum()
    };
    Duration::from_nanos(processes(server).into_iter().map(of).sum())
}

/// The server's processes: its command line names its port or its folder, or its parent's does.
fn processes(server: &Server) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<u32> = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let (folder, port) = (server.dir.display().to_string(), server.port.to_string());
    let is_named = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains(&folder) || line.split('\0').any(|word| word == port) || line.contains(&format!(":{port}"))
    };
    let parent = |pid: &u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let named: Vec<u32> = all.iter().copied().filter(|pid| is_named(pid)).collect();
    all.into_iter().filter(|pid| named.contains(pid) || parent(pid).is_some_and(|pid| named.contains(&pid))).collect()
}
