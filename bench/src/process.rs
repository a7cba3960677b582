//! Processes of their own, for what is luck in one: where its code and memory lie, and what its scheduler makes of it.

use std::error::Error;
use std::process::Command;

use crate::args::Args;

/// What another command of this program prints, for the same arguments.
pub(crate) fn output(command: &str, args: &Args) -> Result<String, Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?).arg(command).args(args.words()).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
