//! Where sessions are kept, by the URL of the command line.

use std::error::Error;
use std::sync::Arc;

use cloakroom::SessionStore;
use cloakroom::store::StoreUrl;

/// Connects, and says where to without user and password.
pub async fn connect(url: &str) -> Result<(Arc<dyn SessionStore>, String), Box<dyn Error>> {
    let url: StoreUrl = with_table(url).parse()?;
    let store = url.connect().await.map_err(|error| match error.source() {
        Some(cause) => format!("{url} cannot be used: {error}: {cause}"),
        None => format!("{url} cannot be used: {error}"),
    })?;
    Ok((store, url.to_string()))
}

/// SQL servers make the table only if they are told to. A real shop has it made by its migrations.
fn with_table(url: &str) -> String {
    let is_sql = ["postgres:", "postgresql:", "mysql:", "mariadb:"].iter().any(|scheme| url.starts_with(scheme));
    match (is_sql && !url.contains("create_schema"), url.contains('?')) {
        (true, true) => format!("{url}&create_schema=true"),
        (true, false) => format!("{url}?create_schema=true"),
        (false, _) => url.to_owned(),
    }
}
