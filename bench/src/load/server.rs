//! The application under load, in a process of its own.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use axum::Router;
use axum::routing::get;
use cloakroom::store::StoreUrl;
use cloakroom::{Session, SessionError, SessionLayer, SessionManager, SessionPolicy, SweeperSettings};
use tokio::net::TcpListener;

use super::{ADD, LOGIN, LOGOUT, SHOW};

const COUNTER: &str = "counter";

/// Serves until it is killed. Its first line of output is the address.
pub(crate) fn serve(
    app: impl Future<Output = Result<Router, Box<dyn Error>>>,
    threads: usize,
) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let app = app.await?;
        println!("{}", listener.local_addr()?);
        // On a worker, as in every application; the thread that blocks here is none.
        tokio::spawn(async move { axum::serve(listener, app).await }).await??;
        Ok(())
    })
}

/// A counter for each session.
pub(super) async fn app(url: String, idle: Duration) -> Result<Router, Box<dyn Error>> {
    let store = url.parse::<StoreUrl>()?.connect().await?;
    let manager = SessionManager::new(store).policy(SessionPolicy::default().idle(idle))?;
    // For as long as the process lives.
    std::mem::forget(manager.start_sweeper(SweeperSettings::default().interval(Duration::from_secs(1))));
    Ok(Router::new()
        .route(SHOW, get(show))
        .route(ADD, get(add))
        .route(LOGIN, get(login))
        .route(LOGOUT, get(async |session: Session| session.logout()))
        .layer(SessionLayer::with_manager(manager)))
}

async fn show(session: Session) -> Result<String, SessionError> {
    Ok(session.get::<u64>(COUNTER)?.unwrap_or_default().to_string())
}

async fn add(session: Session) -> Result<String, SessionError> {
    // What the answer says has to be what is stored, whatever the others do meanwhile.
    session.update(COUNTER, |counter: Option<u64>| counter.unwrap_or_default() + 1)?;
    session.save().await?;
    show(session).await
}

async fn login(session: Session) -> Result<(), SessionError> {
    session.login("ada")
}

/// A process that serves; it is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts this program once more, with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(env::current_exe()?).args(arguments).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        match line.trim().parse() {
            Ok(address) => Ok(Self { child, address }),
            Err(_) => Err(format!("it did not start to serve: {:?}", child.wait()?).into()),
        }
    }

    /// Bytes in memory.
    pub(crate) fn resident(&self) -> Result<f64, Box<dyn Error>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("it has ended")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
    }

    /// How long its threads have been on a core.
    pub(crate) fn cpu_time(&self) -> Result<Duration, Box<dyn Error>> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
