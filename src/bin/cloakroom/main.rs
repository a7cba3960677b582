//! `cloakroom`: looks into a store of sessions, ends sessions, sweeps, and moves them to another store.
//!
//! No token, no digest and no password is ever shown: what is printed logs nobody in.

mod arguments;
mod failure;
mod list;
mod migrate;
mod output;
mod progress;
mod redact;
mod revoke;
mod schema;
mod show;
mod source;
mod stats;
mod sweep;
mod walk;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};
use failure::Failure;
use output::Output;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return redact::explain(&error),
    };
    let result = match arguments.command {
        Command::Stats { store } => stats::run(&store).await,
        Command::List { store, user } => list::run(&store, &user).await,
        Command::Show { store, id, values } => show::run(&store, id, values).await,
        Command::Revoke { store, which, yes: _ } => revoke::run(&store, &which).await,
        Command::Sweep { store } => sweep::run(&store).await,
        Command::Migrate { from, to } => migrate::run(&from, &to).await,
        Command::Schema { store } => schema::run(&store),
    };
    finish(result, arguments.json)
}

/// Prints what came of it. Results go to the standard output, everything else to the standard error.
fn finish(result: Result<Output, Failure>, json: bool) -> ExitCode {
    let printed = result.and_then(|output| {
        output.print(json)?;
        output.into_result()
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}
