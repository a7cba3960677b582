//! W7: what a request costs beside a bare `GET` of as many bytes on the same kind of connection.

use std::cell::RefCell;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use cloakroom::{Clock, RedisStore, SessionLayer, SessionManager, SessionPolicy};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, cmd};
use tokio::task::coop::unconstrained;
use tokio::time::timeout;

use crate::args::Args;
use crate::figure::Figure;
use crate::floor::lossless::{InRedis, LosslessLayer, SWAP_SCRIPT};
use crate::latency::{Contestant, Rounds, in_turn};
use crate::rig::{AxumRig, Rig, runtime};
use crate::servers::proxy::Proxy;
use crate::servers::{self, Server};
use crate::subjects::{BARE, cloakroom_routes, lossless_routes, named};
use crate::work::{BEGIN, CHANGE, FILL, READ, UNTOUCHED};
use crate::{Outcome, at_once, pin, process};

const GET: &str = "GET";
const GET_IN_TIME: &str = "GET with a deadline";
const SET: &str = "SET";
const SWAP: &str = "compare-and-swap";
/// What a write is made of, if it may lose what somebody else has written meanwhile, and if it may not.
const GET_AND_SET: &str = "GET and SET";
const GET_AND_SWAP: &str = "GET and compare-and-swap";
/// As many as a session has in the store.
const BYTES: usize = 1_250;
/// What the value begins with: nobody else writes it.
const VERSION: [u8; 8] = [0; 8];
/// In milliseconds.
const LIFE: u64 = 3_600_000;
const RENEWAL: &str = "renewal";
/// The floor that loses nothing, over the same server.
const FLOOR_READ: &str = "read, lossless floor";
const FLOOR_WRITE: &str = "write, lossless floor";

/// `--processes 7`, and what [`rounds`] takes.
pub(crate) fn run(args: &Args) -> Outcome {
    let Some(server) = servers::redis("") else { return Ok(Vec::new()) };
    let mut figures = round_trips(&server)?;
    let at_once = at_once::figures("redis", &mut layer(&server.address().to_string(), Due::Seldom)?);
    drop(server);
    let mut all = Rounds::default();
    for _ in 0..args.value("--processes", 7)? {
        all.read(&process::output("redis_rounds", args)?)?;
    }
    figures.extend(latency(&all));
    figures.extend(at_once);
    Ok(figures)
}

/// The rounds of one process with a server of its own, `--rounds 61` of `--times 100` requests.
pub(crate) fn rounds(args: &Args) -> Outcome {
    let server = servers::redis("").ok_or("no Redis")?;
    print!("{}", measured(&server, args)?);
    Ok(Vec::new())
}

/// When the expiry of a session moves.
#[derive(Clone, Copy)]
enum Due {
    Seldom,
    Always,
}

/// A millisecond later whenever it is asked.
#[derive(Debug)]
struct Ticking(SystemTime, AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> SystemTime {
        self.0 + Duration::from_millis(self.1.fetch_add(1, Relaxed))
    }
}

fn layer(address: &str, due: Due) -> Result<AxumRig, Box<dyn Error>> {
    let runtime = runtime();
    let store = runtime.block_on(RedisStore::connect(&format!("redis://{address}")))?;
    let mut manager = SessionManager::new(store);
    if let Due::Always = due {
        let clock = Ticking(SystemTime::now(), AtomicU64::default());
        manager = manager.clock(clock).policy(SessionPolicy::default().touch_after(Duration::ZERO))?;
    }
    Ok(AxumRig::on(runtime, cloakroom_routes(SessionLayer::with_manager(manager))))
}

fn lossless(address: &str) -> Result<AxumRig, Box<dyn Error>> {
    let runtime = runtime();
    let store = runtime.block_on(InRedis::connect(&format!("redis://{address}")))?;
    Ok(AxumRig::on(runtime, lossless_routes(LosslessLayer::in_redis(store))))
}

/// An application, and the cookie of a session in it.
fn filled(mut rig: AxumRig) -> Result<(AxumRig, String), Box<dyn Error>> {
    let cookie = rig.ask(FILL, None).cookie.ok_or("no cookie")?;
    Ok((rig, cookie))
}

#[expect(clippy::await_holding_refcell_ref, reason = "contestants take turns: one uses the connection at a time")]
fn measured(server: &Server, args: &Args) -> Result<Rounds, Box<dyn Error>> {
    let address = server.address().to_string();
    let (mut rig, cookie) = filled(layer(&address, Due::Seldom)?)?;
    let (mut renewing, renewed) = filled(layer(&address, Due::Always)?)?;
    let (mut floor, floor_cookie) = filled(lossless(&address)?)?;
    let (mut bare, runtime) = (named(BARE).ok_or("no bare handler")?.rig(), runtime());
    servers::keep_apart(server)?;
    let _pinned = pin::to_one_core()?;
    let connection = RefCell::new(runtime.block_on(connect(&address))?);
    let plain = |times| {
        runtime.block_on(unconstrained(async {
            for _ in 0..times {
                get(&mut connection.borrow_mut()).await;
            }
        }));
    };
    // What a store does too: nobody waits for ever.
    let get_in_time = |times| {
        runtime.block_on(unconstrained(async {
            for _ in 0..times {
                let got = timeout(Duration::from_secs(5), get(&mut connection.borrow_mut())).await;
                got.expect("an answer in time");
            }
        }));
    };
    let script = redis::Script::new(SWAP_SCRIPT);
    let writing = |read: bool, swap: bool| {
        let (runtime, connection, script) = (&runtime, &connection, &script);
        move |times| {
            runtime.block_on(unconstrained(async {
                for _ in 0..times {
                    let connection = &mut connection.borrow_mut();
                    if read {
                        get(connection).await;
                    }
                    if swap { compare_and_swap(script, connection).await } else { set(connection).await }
                }
            }));
        }
    };
    let (rig, floor) = (RefCell::new(&mut rig), RefCell::new(&mut floor));
    let repeat = |path| {
        let (rig, cookie) = (&rig, &cookie);
        move |times| rig.borrow_mut().repeat(path, (path != BEGIN).then_some(cookie), times)
    };
    let all = vec![
        Contestant::new(BARE, |times| bare.repeat(READ, Some(&cookie), times)),
        Contestant::new(GET, plain),
        Contestant::new(GET_IN_TIME, get_in_time),
        Contestant::new(SET, writing(false, false)),
        Contestant::new(SWAP, writing(false, true)),
        Contestant::new(GET_AND_SET, writing(true, false)),
        Contestant::new(GET_AND_SWAP, writing(true, true)),
        Contestant::new("untouched", repeat(UNTOUCHED)),
        Contestant::new("read", repeat(READ)),
        Contestant::new("write", repeat(CHANGE)),
        Contestant::new("new session", repeat(BEGIN)),
        Contestant::new(FLOOR_READ, |times| floor.borrow_mut().repeat(READ, Some(&floor_cookie), times)),
        Contestant::new(FLOOR_WRITE, |times| floor.borrow_mut().repeat(CHANGE, Some(&floor_cookie), times)),
        Contestant::new(RENEWAL, |times| renewing.repeat(READ, Some(&renewed), times)),
    ];
    Ok(in_turn(all, args.value("--rounds", 61)?, args.value("--times", 100)?))
}

fn latency(rounds: &Rounds) -> Vec<Figure> {
    let floors = [GET_IN_TIME, SET, SWAP, GET_AND_SET, GET_AND_SWAP];
    let times = [BARE, GET].into_iter().chain(floors).map(|name| [rounds.time("W7", name), rounds.work("W7", name)]);
    let floors = floors.map(|name| rounds.ratio("W7", name, None, &[GET]));
    let ratios = ["untouched", "read", "write", "new session", RENEWAL, FLOOR_READ, FLOOR_WRITE].map(|name| {
        let ratio = |reference| rounds.ratio("W7", name, Some(BARE), &[reference]);
        [rounds.time("W7", name), rounds.work("W7", name), ratio(GET), ratio(GET_IN_TIME)]
    });
    let write = [GET_AND_SET, GET_AND_SWAP].map(|floor| rounds.ratio("W7", "write", Some(BARE), &[floor]));
    times.flatten().chain(floors).chain(ratios.into_iter().flatten()).chain(write).collect()
}

async fn get(connection: &mut ConnectionManager) {
    let got: Vec<u8> = cmd("GET").arg("bare").query_async(connection).await.expect("an answer");
    assert!(!got.is_empty());
}

async fn set(connection: &mut ConnectionManager) {
    let set = cmd("SET").arg("bare").arg(new_value()).arg("PX").arg(LIFE).exec_async(connection).await;
    set.expect("an answer");
}

async fn compare_and_swap(script: &redis::Script, connection: &mut ConnectionManager) {
    let mut swap = script.key("bare");
    let swapped: bool =
        swap.arg(&VERSION).arg(new_value()).arg(LIFE).invoke_async(connection).await.expect("an answer");
    assert!(swapped);
}

/// Each time another one: to Lua a text that it has seen before costs less.
fn new_value() -> Vec<u8> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    [&VERSION[..], &COUNT.fetch_add(1, Relaxed).to_be_bytes(), &[b'x'; BYTES - 16]].concat()
}

/// With as many bytes under the key `bare` as a session has. Its own deadline for each answer is off: one is for those to set
/// who want one.
async fn connect(address: &str) -> redis::RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new().set_response_timeout(None);
    let mut connection = Client::open(format!("redis://{address}"))?.get_connection_manager_with_config(config).await?;
    cmd("SET").arg("bare").arg(new_value()).exec_async(&mut connection).await?;
    Ok(connection)
}

/// Round trips of a request, on the wire.
fn round_trips(server: &Server) -> Outcome {
    const TIMES: u64 = 100;
    let proxy = Proxy::to(server.address())?;
    let address = proxy.address.to_string();
    let (mut rig, cookie) = filled(layer(&address, Due::Seldom)?)?;
    let (mut renewing, renewed) = filled(layer(&address, Due::Always)?)?;
    let count = |name, rig: &mut AxumRig, path, cookie: Option<&str>| {
        rig.repeat(path, cookie, 1);
        let before = proxy.trips();
        rig.repeat(path, cookie, TIMES);
        Figure::exact("W7", name, "round trips", "", (proxy.trips() - before) as f64 / TIMES as f64)
    };
    Ok(vec![
        count("untouched", &mut rig, UNTOUCHED, Some(&cookie)),
        count("read", &mut rig, READ, Some(&cookie)),
        count("write", &mut rig, CHANGE, Some(&cookie)),
        count("new session", &mut rig, BEGIN, None),
        count(RENEWAL, &mut renewing, READ, Some(&renewed)),
    ])
}
