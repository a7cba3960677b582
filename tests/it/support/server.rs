//! Real servers: started on a free loopback port, in a temporary folder, as an unprivileged user, and stopped with the tests.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The user that servers run as when the tests run as root: `nobody`. Servers refuse root.
const NOBODY: u32 = 65_534;

/// How long a server may take to come up, or servers to find each other.
const PATIENCE: Duration = Duration::from_mins(1);

/// Stops the server when the test process closes the pipe, however it ends; a line on the pipe keeps the folder.
const KEEPER: &str = r#"dir=$1; shift; "$@" >>"$dir/log" 2>&1 & pid=$!
if read -r _; then kill -9 $pid; wait $pid; else kill -9 $pid; wait $pid; rm -rf "$dir"; fi"#;

/// A running server.
pub struct Server {
    keeper: Option<Child>,
    command: Vec<String>,
    pub dir: PathBuf,
    pub port: u16,
}

impl Server {
    /// Starts a program with arguments made from its folder and its port. `prepare` may fill the folder first.
    pub fn start(
        program: &Path,
        prepare: impl FnOnce(&Path),
        arguments: impl FnOnce(&Path, u16) -> Vec<String>,
    ) -> Self {
        let dir = tempfile::Builder::new().prefix("cloakroom-test-").tempdir().unwrap().keep();
        if is_root() {
            chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        prepare(&dir);
        let port = free_port();
        let mut command = vec![program.to_str().unwrap().to_owned()];
        command.extend(arguments(&dir, port));
        let mut server = Self { keeper: None, command, dir, port };
        server.restart();
        server
    }

    /// Starts it again, on the same port and folder, and waits until it accepts connections.
    pub fn restart(&mut self) {
        let keeper = unprivileged("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(&self.dir)
            .args(&self.command)
            .current_dir(&self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        self.keeper = Some(keeper);
        self.wait_until_it_listens(true);
    }

    /// `kill -9`. What is on disk stays.
    pub fn kill(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            keeper.stdin.take().unwrap().write_all(b"keep the folder\n").unwrap();
            keeper.wait().unwrap();
            // A process that PostgreSQL has just forked for a connection holds the port a moment longer.
            self.wait_until_it_listens(false);
        }
    }

    fn wait_until_it_listens(&self, listens: bool) {
        let log = || std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let is_so = comes_true(|| TcpStream::connect(self.address()).is_ok() == listens);
        assert!(is_so, "{:?} does not come up, or stays:\n{}", self.command, log());
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self.keeper.take() {
            Some(mut keeper) => {
                drop(keeper.stdin.take());
                let _ = keeper.wait();
            }
            None => drop(std::fs::remove_dir_all(&self.dir)),
        }
    }
}

/// Waits until something is so. Whether it is before patience ends.
pub fn comes_true(is_so: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while !is_so() {
        if started.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// A command that runs as `nobody` if the tests run as root.
pub fn unprivileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// The path of a program, or `None` after one printed line. Where `CI` is set, a missing program is a failure.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    // Debian keeps PostgreSQL's programs by version, the newest last.
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<_> = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
        versions.sort();
        folders.splice(0..0, versions.into_iter().rev());
    }
    let found = folders.iter().map(|folder| folder.join(program)).find(|path| path.is_file());
    if found.is_none() {
        let missing = format!("skipped: {program} is not installed (scripts/test installs it)");
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        say_once(missing);
    }
    found
}

/// Prints a line, and prints it once. Past the test harness, which keeps back what tests that pass have printed.
fn say_once(line: String) {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut said = SAID.lock().unwrap();
    if !said.contains(&line) {
        std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
        said.push(line);
    }
}

/// A port that nobody listens on, and that no other test of this process gets. It is below those that outgoing connections
/// take, so that it is still free when its server is started again.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(10_000 + number % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

pub fn redis() -> Option<Server> {
    let program = find("redis-server")?;
    Some(Server::start(
        &program,
        |_| {},
        |dir, port| {
            let text = format!(
                "--port {port} --bind 127.0.0.1 --dir {} --save  --appendonly yes --appendfsync always --daemonize no",
                dir.display()
            );
            text.split(' ').map(str::to_owned).collect()
        },
    ))
}

pub fn memcached() -> Option<Server> {
    let program = find("memcached")?;
    Some(Server::start(
        &program,
        |_| {},
        |_, port| ["-l", "127.0.0.1", "-p", &port.to_string(), "-U", "0", "-m", "256"].map(str::to_owned).into(),
    ))
}

/// PostgreSQL with the user `postgres`, whom it trusts.
pub fn postgres() -> Option<Server> {
    let (initdb, program) = (find("initdb")?, find("postgres")?);
    let prepare = |dir: &Path| {
        let done = unprivileged(initdb)
            .args(["--pgdata=data", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"])
            .current_dir(dir)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    Some(Server::start(&program, prepare, |dir, port| {
        let (data, dir) = (dir.join("data"), dir.display());
        let arguments = ["-D", data.to_str().unwrap(), "-p", &port.to_string(), "-h", "127.0.0.1", "-c"];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.extend([format!("unix_socket_directories={dir}"), "-c".into(), "max_connections=200".into()]);
        arguments
    }))
}

/// MariaDB with the user `root`, who has no password.
pub fn mariadb() -> Option<Server> {
    let (install, program) = (find("mariadb-install-db")?, find("mariadbd")?);
    let prepare = |dir: &Path| {
        let done = unprivileged(install)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--datadir={}", dir.join("data").display()))
            .current_dir(dir)
            .env("HOME", dir)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    Some(Server::start(&program, prepare, |dir, port| {
        let dir = dir.display();
        [
            "--no-defaults".into(),
            format!("--datadir={dir}/data"),
            format!("--socket={dir}/socket"),
            format!("--port={port}"),
            "--bind-address=127.0.0.1".into(),
            "--max-connections=300".into(),
        ]
        .into()
    }))
}
