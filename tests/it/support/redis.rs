//! Redis servers in all their arrangements, and what the tests ask them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom::redis::aio::{ConnectionLike, MultiplexedConnection};
use cloakroom::redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisFuture, Value, cmd};

use super::server::{Server, comes_true, find, free_port, unprivileged};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server with these options more.
pub fn single(options: &str) -> Option<Server> {
    Some(start(&find("redis-server")?, options))
}

/// Valkey, which few machines have: skipped without a word.
pub fn valkey() -> Option<Server> {
    let program = Path::new("/usr/bin/valkey-server");
    program.is_file().then(|| start(program, ""))
}

fn start(program: &Path, options: &str) -> Server {
    Server::start(
        program,
        |_| {},
        |dir, port| {
            let text = format!(
                "--port {port} --bind 127.0.0.1 --dir {} --save  --appendonly yes --appendfsync always --daemonize no",
                dir.display()
            );
            let options = options.replace("DIR", dir.to_str().unwrap());
            text.split(' ').chain(options.split_whitespace()).map(str::to_owned).collect()
        },
    )
}

pub fn url(server: &Server) -> String {
    format!("redis://{}", server.address())
}

/// A connection of the test's own.
pub async fn connection(server: &Server) -> MultiplexedConnection {
    let client = Client::open(url(server)).unwrap();
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// What a user of the server may do who has the permissions of the documentation.
const PERMISSIONS: &str = "~session:* +ping +evalsha +eval +get +getrange +set +setrange +del +pexpire +zadd +zscore +zrevrange \
                           +zrangebyscore +zremrangebyscore";

/// Makes the user `app`, with these permissions more.
pub async fn let_in(server: &Server, more: &str) {
    let mut allow = cmd("ACL");
    allow.arg("SETUSER").arg("app").arg("reset").arg("on").arg(">sesame");
    allow.arg(PERMISSIONS.split_whitespace().chain(more.split_whitespace()).collect::<Vec<_>>());
    allow.exec_async(&mut connection(server).await).await.unwrap();
}

/// How often each command was called, without what this crate does not send. Begins anew.
pub async fn take_calls(connection: &mut MultiplexedConnection) -> Vec<(String, u64)> {
    let text: String = cmd("INFO").arg("commandstats").query_async(connection).await.unwrap();
    cmd("CONFIG").arg("RESETSTAT").exec_async(connection).await.unwrap();
    let entry = |line: &str| {
        let (name, numbers) = line.trim().strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), numbers.split(',').next()?.parse().ok()?))
    };
    // Scripts' own commands are counted as well; one that came from a client is one of these.
    let mut calls: Vec<(String, u64)> = text.lines().filter_map(entry).collect();
    calls.retain(|(name, _)| {
        !["info", "config|resetstat", "client|setinfo", "client", "command"].contains(&name.as_str())
    });
    calls.sort();
    calls
}

fn cli(port: u16, arguments: &[&str]) -> Output {
    unprivileged("redis-cli").args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(arguments).output().unwrap()
}

fn answer(port: u16, arguments: &[&str]) -> String {
    String::from_utf8_lossy(&cli(port, arguments).stdout).into_owned()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    assert!(comes_true(is_so), "{what}");
}

/// Three masters with a replica each.
pub struct Cluster {
    pub nodes: Vec<Server>,
}

impl Cluster {
    pub fn start() -> Option<Self> {
        let (program, _) = (find("redis-server")?, find("redis-cli")?);
        let node = |_| {
            let bus = free_port();
            start(
                &program,
                &format!(
                    "--cluster-enabled yes --cluster-config-file nodes.conf --cluster-node-timeout 1000 \
                     --cluster-replica-validity-factor 0 --repl-diskless-sync-delay 0 --cluster-port {bus}"
                ),
            )
        };
        let nodes: Vec<Server> = (0..6).map(node).collect();
        let addresses: Vec<String> = nodes.iter().map(|node| node.address().to_string()).collect();
        let create = ["--cluster-replicas", "1", "--cluster-yes"];
        let mut arguments = vec!["--cluster", "create"];
        arguments.extend(addresses.iter().map(String::as_str));
        arguments.extend(create);
        let created = cli(nodes[0].port, &arguments);
        assert!(created.status.success(), "{created:?}");
        let cluster = Self { nodes };
        cluster.wait();
        Some(cluster)
    }

    /// Waits until all that run are of one mind, and all masters have a replica that follows them.
    fn wait(&self) {
        for node in &self.nodes {
            wait_until("the cluster is of one mind", || {
                let state = answer(node.port, &["cluster", "info"]);
                let peers = answer(node.port, &["cluster", "nodes"]);
                state.contains("cluster_state:ok") && peers.lines().count() == 6 && peers.matches("slave").count() == 3
            });
            wait_until("replicas follow", || {
                let text = answer(node.port, &["info", "replication"]);
                if is_master(&text) { text.contains("state=online") } else { text.contains("master_link_status:up") }
            });
        }
    }

    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(url).collect()
    }

    /// One of the masters.
    pub fn master(&mut self) -> &mut Server {
        let is_master = |node: &&mut Server| is_master(&answer(node.port, &["info", "replication"]));
        self.nodes.iter_mut().find(is_master).unwrap()
    }
}

pub fn is_replica(node: &Server) -> bool {
    !is_master(&answer(node.port, &["info", "replication"]))
}

fn is_master(info: &str) -> bool {
    info.contains("role:master")
}

/// The name under which the sentinels know the master.
pub const MASTER: &str = "mine";

/// A master, a replica, and three sentinels.
pub struct Guarded {
    pub master: Server,
    pub replica: Server,
    pub sentinels: Vec<Server>,
}

impl Guarded {
    pub fn start(options: &str) -> Option<Self> {
        let (program, sentinel) = (find("redis-server")?, find("redis-sentinel")?);
        find("redis-cli")?;
        let options = format!("--repl-diskless-sync-delay 0 {options}");
        let master = start(&program, &options);
        let replica = start(&program, &format!("{options} --replicaof 127.0.0.1 {}", master.port));
        let password = options.split_once("--masterauth ").map(|(_, rest)| rest.split(' ').next().unwrap());
        let auth: Vec<&str> = password.map_or(vec![], |password| vec!["--no-auth-warning", "-a", password]);
        wait_until("the replica follows", || {
            let arguments: Vec<&str> = auth.iter().copied().chain(["info", "replication"]).collect();
            answer(master.port, &arguments).contains("state=online")
        });
        let auth_line = password.map_or(String::new(), |password| format!("sentinel auth-pass {MASTER} {password}\n"));
        let text = format!(
            "sentinel monitor {MASTER} 127.0.0.1 {} 2\nsentinel down-after-milliseconds {MASTER} 800\n\
             sentinel failover-timeout {MASTER} 3000\n{auth_line}",
            master.port
        );
        let write = |dir: &Path| {
            let path = dir.join("conf");
            std::fs::write(&path, &text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        };
        let sentinels: Vec<Server> = (0..3)
            .map(|_| {
                Server::start(&sentinel, write, |dir, port| {
                    let conf = dir.join("conf").to_str().unwrap().to_owned();
                    vec![conf, "--port".into(), port.to_string(), "--dir".into(), dir.to_str().unwrap().into()]
                })
            })
            .collect();
        for sentinel in &sentinels {
            wait_until("the sentinels know each other and the replica", || {
                let known = answer(sentinel.port, &["sentinel", "master", MASTER]);
                let number_after = |name| known.lines().skip_while(|line| *line != name).nth(1).map(str::to_owned);
                number_after("num-other-sentinels").as_deref() == Some("2")
                    && number_after("num-slaves").as_deref() == Some("1")
            });
        }
        Some(Self { master, replica, sentinels })
    }

    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(url).collect()
    }
}

/// A connection that does everything twice, as a client does that did not see the first answer, and remembers what it did.
#[derive(Clone)]
pub struct Twice<C> {
    connection: C,
    pub sent: Arc<Mutex<Vec<Cmd>>>,
}

impl<C> Twice<C> {
    pub fn new(connection: C) -> Self {
        Self { connection, sent: Arc::default() }
    }
}

impl<C: ConnectionLike + Send> ConnectionLike for Twice<C> {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.sent.lock().unwrap().push(command.clone());
        let mut both = Pipeline::new();
        both.add_command(command.clone()).add_command(command.clone());
        Box::pin(async move {
            let mut answers = self.connection.req_packed_commands(&both, 0, 2).await?;
            answers.pop().unwrap().extract_error()
        })
    }

    fn req_packed_commands<'a>(&'a mut self, _: &'a Pipeline, _: usize, _: usize) -> RedisFuture<'a, Vec<Value>> {
        unimplemented!("the store sends no pipelines")
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}
