//! Processes of their own, for what is luck in one: where its code and memory lie, and what its scheduler makes of it.

use std::error::Error;
use std::num::ParseFloatError;
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

/// Figures as one process prints them and another reads them: with a space between them.
pub(crate) fn joined(numbers: impl IntoIterator<Item = f64>) -> String {
    numbers.into_iter().map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

pub(crate) fn numbers(joined: &str) -> Result<Vec<f64>, ParseFloatError> {
    joined.split(' ').map(str::parse).collect()
}
