//! The examples, started as their documentation does it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// `cargo run` of an example. Not the binary that may lie beside the tests: `cargo test --test it` would not have built it
/// anew.
pub fn command(name: &str) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["run", "--quiet", "--example", name, "--"]);
    command
}

/// An example that listens on a free port. Killed when dropped.
pub struct Example {
    process: Child,
    stdout: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

impl Example {
    pub fn start(name: &str) -> Self {
        let mut process = command(name).arg("0").stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ").expect("the example says where it listens");
        let address = address.strip_prefix("http://").unwrap_or(address).parse().unwrap();
        Self { process, stdout, address }
    }

    /// What ctrl-c does. `kill` is built into every shell.
    pub fn interrupt(mut self) -> (ExitStatus, String) {
        let kill = format!("kill -INT {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.process.wait().unwrap(), rest)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
