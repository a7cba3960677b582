//! What the command line chooses: `--subject NAME` and `--work W3`, both given once or not at all.

use std::error::Error;

use crate::args::Args;
use crate::subjects::{ALL, Subject, named};
use crate::work::Work;

/// The subject that is named, all of them without a name.
pub(crate) fn subjects(args: &Args) -> Result<Vec<Subject>, Box<dyn Error>> {
    let name: String = args.value("--subject", String::new())?;
    if name.is_empty() {
        return Ok(ALL.to_vec());
    }
    let names: Vec<_> = ALL.iter().map(|subject| subject.name).collect();
    let subject = named(&name).ok_or_else(|| format!("--subject is one of: {}", names.join(", ")))?;
    Ok(vec![subject])
}

/// The workload that is named, all of them without a name.
pub(crate) fn works(args: &Args) -> Result<Vec<Work>, Box<dyn Error>> {
    let name: String = args.value("--work", String::new())?;
    if name.is_empty() {
        return Ok(Work::ALL.to_vec());
    }
    let names: Vec<_> = Work::ALL.iter().map(|work| work.name()).collect();
    Ok(vec![Work::named(&name).ok_or_else(|| format!("--work is one of: {}", names.join(", ")))?])
}
