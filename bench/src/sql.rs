//! W8: what a request costs beside the bare statements on a held connection.
//!
//! No statement waits for a disk here, on either side: that would hide what the rest costs.

mod bare;

use std::cell::RefCell;
use std::error::Error;

use cloakroom::store::StoreError;
use cloakroom::{MysqlStore, PostgresStore, SessionLayer, SqliteStore};
use sqlx::{Connection as _, Executor as _, MySqlConnection};
use tokio::runtime::Runtime;

use crate::args::Args;
use crate::figure::Figure;
use crate::latency::{Contestant, in_turn};
use crate::rig::{AxumRig, Rig, runtime};
use crate::servers::proxy::Proxy;
use crate::servers::{self, Server};
use crate::subjects::{BARE, cloakroom_routes, named};
use crate::work::{BEGIN, CHANGE, FILL, READ, UNTOUCHED};
use crate::{Outcome, at_once, pin};
use bare::{Bare, MySqlBare, PostgresBare, SqliteBare};

const SELECT: &str = "SELECT";
const UPDATE: &str = "UPDATE";
const LOAD: &str = "SELECT of all columns";
const LOAD_AND_SWAP: &str = "SELECT of all columns, then compare-and-swap";

pub(crate) fn run(args: &Args) -> Outcome {
    let mut figures = Vec::new();
    for measure in [postgres, mariadb, sqlite] {
        figures.extend(measure(args)?);
    }
    Ok(figures)
}

fn postgres(args: &Args) -> Outcome {
    let Some(server) = servers::postgres() else { return Ok(Vec::new()) };
    let url = |address: &str| {
        format!("postgres://postgres@{address}/postgres?sslmode=disable&options[synchronous_commit]=off")
    };
    let open = |address: &str| {
        let runtime = runtime();
        let store = runtime.block_on(async {
            let store = PostgresStore::connect(&url(address)).await?;
            store.create_schema().await?;
            Ok::<_, StoreError>(store)
        })?;
        rig(runtime, SessionLayer::new(store))
    };
    servers::keep_apart(&server)?;
    let trips = round_trips("Postgres", &server, open)?;
    let mut reference = PostgresBare::connect(&url(&server.address().to_string()))?;
    let (rig, cookie) = open(&server.address().to_string())?;
    let figures = latency("Postgres", args, rig, &cookie, &mut reference)?;
    Ok(trips.into_iter().chain(figures).collect())
}

fn mariadb(args: &Args) -> Outcome {
    let Some(server) = servers::mariadb() else { return Ok(Vec::new()) };
    let url = runtime().block_on(async {
        let url = servers::mariadb_url(&server).await?;
        let mut connection = MySqlConnection::connect(&url).await?;
        connection.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 0").await?;
        Ok::<_, sqlx::Error>(url)
    })?;
    let open = |address: &str| {
        let (runtime, url) = (runtime(), url.replace(&server.address().to_string(), address));
        let store = runtime.block_on(async {
            let store = MysqlStore::connect(&url).await?;
            store.create_schema().await?;
            Ok::<_, StoreError>(store)
        })?;
        rig(runtime, SessionLayer::new(store))
    };
    servers::keep_apart(&server)?;
    let trips = round_trips("MariaDB", &server, open)?;
    let mut reference = MySqlBare::connect(&url)?;
    let (rig, cookie) = open(&server.address().to_string())?;
    let figures = latency("MariaDB", args, rig, &cookie, &mut reference)?;
    Ok(trips.into_iter().chain(figures).collect())
}

fn sqlite(args: &Args) -> Outcome {
    let folder = servers::folder_in_memory()?;
    let (path, runtime) = (folder.path().join("sessions.db"), runtime());
    // Connections are threads. On two cores, luck would decide which of them must wake a core that sleeps.
    let _pinned = pin::to_one_core()?;
    let store = runtime.block_on(SqliteStore::open(&path))?;
    let (rig, cookie) = rig(runtime, SessionLayer::new(store))?;
    let mut reference = SqliteBare::connect(&format!("sqlite://{}", path.display()))?;
    latency("SQLite", args, rig, &cookie, &mut reference)
}

/// An application, and the cookie of a session in it.
fn rig(runtime: Runtime, layer: SessionLayer) -> Result<(AxumRig, String), Box<dyn Error>> {
    let mut rig = AxumRig::on(runtime, cloakroom_routes(layer));
    let cookie = rig.ask(FILL, None).cookie.ok_or("no cookie")?;
    Ok((rig, cookie))
}

fn latency(name: &str, args: &Args, mut rig: AxumRig, cookie: &str, reference: &mut dyn Bare) -> Outcome {
    let _pinned = pin::to_one_core()?;
    let workload = format!("W8 {name}");
    let mut bare = named(BARE).ok_or("no bare handler")?.rig();
    let (shared, reference) = (RefCell::new(&mut rig), RefCell::new(reference));
    let repeat = |path| {
        let shared = &shared;
        move |times| shared.borrow_mut().repeat(path, (path != BEGIN).then_some(cookie), times)
    };
    let all = vec![
        Contestant::new(BARE, |times| bare.repeat(READ, Some(cookie), times)),
        Contestant::new(SELECT, |times| reference.borrow_mut().select(times)),
        Contestant::new(UPDATE, |times| reference.borrow_mut().update(times)),
        Contestant::new(LOAD, |times| reference.borrow_mut().load(times)),
        Contestant::new(LOAD_AND_SWAP, |times| reference.borrow_mut().change(times)),
        Contestant::new("untouched", repeat(UNTOUCHED)),
        Contestant::new("read", repeat(READ)),
        Contestant::new("write", repeat(CHANGE)),
        Contestant::new("new session", repeat(BEGIN)),
    ];
    let rounds = in_turn(all, args.value("--rounds", 201)?, args.value("--times", 100)?);
    let references = [BARE, SELECT, UPDATE, LOAD, LOAD_AND_SWAP];
    let mut figures: Vec<_> = references.map(|name| rounds.work(&workload, name)).into();
    figures.extend(["read", "write"].map(|name| rounds.work(&workload, name)));
    figures.extend(references.map(|name| rounds.time(&workload, name)));
    let over = [("read", [&[SELECT][..], &[LOAD]]), ("write", [&[SELECT, UPDATE], &[LOAD_AND_SWAP]])];
    for (name, all) in over {
        figures.push(rounds.time(&workload, name));
        figures.extend(all.map(|references| rounds.ratio(&workload, name, Some(BARE), references)));
    }
    figures.extend(["untouched", "new session"].map(|name| rounds.time(&workload, name)));
    figures.extend(at_once::figures(name, &mut rig));
    Ok(figures)
}

/// Round trips of a request, on the wire.
fn round_trips(
    name: &str,
    server: &Server,
    open: impl Fn(&str) -> Result<(AxumRig, String), Box<dyn Error>>,
) -> Outcome {
    const TIMES: u64 = 100;
    let proxy = Proxy::to(server.address())?;
    let (mut rig, cookie) = open(&proxy.address.to_string())?;
    let mut count = |what, path, cookie: Option<&str>| {
        // The first time a statement is prepared.
        rig.repeat(path, cookie, 1);
        let before = proxy.trips();
        rig.repeat(path, cookie, TIMES);
        let trips = (proxy.trips() - before) as f64 / TIMES as f64;
        Figure::exact(&format!("W8 {name}"), what, "round trips", "", trips)
    };
    Ok(vec![
        count("untouched", UNTOUCHED, Some(&cookie)),
        count("read", READ, Some(&cookie)),
        count("write", CHANGE, Some(&cookie)),
        count("new session", BEGIN, None),
    ])
}
