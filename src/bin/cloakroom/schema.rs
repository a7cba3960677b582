//! `cloakroom schema`: the table of a store.

use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::source::Source;

pub(crate) fn run(store: &Source) -> Result<Output, Failure> {
    let url = store.url()?;
    let schema = url.schema()?;
    if schema.is_none() {
        eprintln!("{url}: this store needs no table");
    }
    let json = json!({ "schema": schema });
    Ok(Output::new(schema.unwrap_or_default(), json))
}
