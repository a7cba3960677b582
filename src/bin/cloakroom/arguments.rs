//! What can be written on the command line.

use clap::{Args, Parser, Subcommand};
use cloakroom::SessionId;

use crate::source::Source;

const AFTER_HELP: &str = "\
Stores:
  sqlite:/var/lib/shop/sessions.db   file:/var/lib/shop/sessions   redis://host:6379/0
  postgres://user@host/database      mysql://user@host/database    memcached://host:11211
  and the others of cloakroom::store::StoreUrl, with their parameters

  Everybody on the machine can read command lines. Instead of a URL with a password write env:NAME, and put the
  URL into the environment variable NAME.

Exit codes:
  0 done   1 the store failed, or not all could be done   2 wrong usage   3 there is no such session";

/// Looks into a store of cloakroom sessions, ends sessions, sweeps, and moves them to another store.
///
/// No token, no digest and no password is ever shown.
#[derive(Debug, Parser)]
#[command(name = "cloakroom", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Print JSON, for scripts. Times are Unix seconds.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Count the sessions, and say how large they are.
    Stats {
        /// URL of the store, or env:NAME.
        store: Source,
    },
    /// List the sessions of a user.
    List {
        /// URL of the store, or env:NAME.
        store: Source,
        /// The user, as given to `login`.
        #[arg(long)]
        user: String,
    },
    /// Show a session: its life, and the keys of its data with their sizes.
    Show {
        /// URL of the store, or env:NAME.
        store: Source,
        /// Its id.
        id: SessionId,
        /// Show the values of its data too. They may be secrets.
        #[arg(long)]
        values: bool,
    },
    /// End a session, all sessions of a user, or all there are: at once and finally.
    #[command(override_usage = "cloakroom revoke [OPTIONS] <STORE> <ID | --user <USER> | --all --yes>")]
    Revoke {
        /// URL of the store, or env:NAME.
        store: Source,
        #[command(flatten)]
        which: Which,
        /// Yes, end everything.
        #[arg(long, requires = "all")]
        yes: bool,
    },
    /// Delete what has expired.
    ///
    /// The application's own sweeper does the same, and tells of each session that it has expired; this tells nobody. Redis
    /// and Memcached clean up by themselves.
    Sweep {
        /// URL of the store, or env:NAME.
        store: Source,
    },
    /// Copy all live sessions to another store, as they are: nobody is logged out.
    ///
    /// Stop the application first, or let it run on a `MigratingStore` of the two stores: that moves each session when it is used, and this
    /// moves the others. It may be run again, and goes on where it was interrupted. FROM stays as it is.
    Migrate {
        /// URL of the store that has the sessions, or env:NAME.
        from: Source,
        /// URL of the store that gets them, or env:NAME.
        to: Source,
    },
    /// Print the statements that create the table of a store, for migrations of your own. Connects to nothing.
    Schema {
        /// URL of the store, or env:NAME.
        store: Source,
    },
}

/// Which sessions to end.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// The id of one session.
    pub(crate) id: Option<SessionId>,
    /// All sessions of this user, as given to `login`.
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// All sessions of all applications that share the store.
    #[arg(long, requires = "yes")]
    pub(crate) all: bool,
}
