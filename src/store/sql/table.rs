//! The table and the statements on it.

use std::fmt;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use super::dialect::{COLUMNS, Dialect};
use crate::error::ConfigError;

/// The shortest limit is PostgreSQL's, 63 bytes, and the names of the indices are longer than that of the table.
const NAME_MAX: usize = 48;

/// How many ids a list of parameters names: always as many, so that its statement is prepared once.
pub(super) const LISTED: usize = 500;

/// A table's name that was checked. Nothing else gets into a statement's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    schema: Option<String>,
    name: String,
}

impl Default for Table {
    fn default() -> Self {
        Self { schema: None, name: "cloakroom_sessions".to_owned() }
    }
}

impl Table {
    pub(super) fn parse(text: &str) -> Result<Self, ConfigError> {
        let (schema, name) = match text.split_once('.') {
            Some((schema, name)) => (Some(schema), name),
            None => (None, text),
        };
        if !schema.is_none_or(is_name) || !is_name(name) {
            return Err(ConfigError::TableName { name: text.to_owned() });
        }
        Ok(Self { schema: schema.map(str::to_owned), name: name.to_owned() })
    }

    /// As statements name it, with its schema.
    pub(super) fn qualified(&self, quote: char) -> String {
        format!("{}{}", self.schema_prefix(quote), self.local("", quote))
    }

    /// The schema and a dot, if there is one.
    pub(super) fn schema_prefix(&self, quote: char) -> String {
        self.schema.as_ref().map(|schema| format!("{quote}{schema}{quote}.")).unwrap_or_default()
    }

    /// The name without its schema, or that of an index.
    pub(super) fn local(&self, suffix: &str, quote: char) -> String {
        format!("{quote}{}{suffix}{quote}", self.name)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !text.starts_with(|first: char| first.is_ascii_digit())
}

/// The statements, built once: a clone is a reference count.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) table: Table,
    pub(super) schema: Vec<SqlStr>,
    pub(super) create: SqlStr,
    /// What has expired gives up its place.
    pub(super) replace_expired: SqlStr,
    pub(super) load: SqlStr,
    pub(super) save: SqlStr,
    pub(super) touch: SqlStr,
    pub(super) delete: SqlStr,
    pub(super) expired: SqlStr,
    /// Of [`LISTED`] ids, unless the database takes them [as one value](Dialect::ID_AMONG).
    pub(super) delete_expired: SqlStr,
    pub(super) records_of: SqlStr,
    pub(super) page: SqlStr,
}

impl Statements {
    pub(super) fn new<DB: Dialect>(table: Table) -> Self {
        let sql = |text: String| AssertSqlSafe(DB::parameters(text)).into_sql_str();
        let (t, on_duplicate) = (table.qualified(DB::QUOTE), DB::ON_DUPLICATE);
        let (id_among, time) = match DB::ID_AMONG {
            Some(condition) => (condition.to_owned(), 2),
            None => (format!("id IN ({})", list(LISTED)), LISTED + 1),
        };
        // MariaDB would look into the index of `expires_at` as well before it takes the primary key, which takes longer than
        // the rest of the statement. Of a sum there is no index.
        let (is_live, is_over) = ("expires_at + 0 >", "expires_at + 0 <=");
        // Parameters have the order of their numbers: not every database can name one twice.
        Self {
            schema: DB::schema(&table).into_iter().map(|text| AssertSqlSafe(text).into_sql_str()).collect(),
            create: sql(format!("INSERT INTO {t} ({COLUMNS}, id) VALUES ($1, $2, $3, $4, $5){on_duplicate}")),
            replace_expired: sql(format!(
                "UPDATE {t} SET version = $1, user_id = $2, expires_at = $3, payload = $4 WHERE id = $5 AND {is_over} $6"
            )),
            load: sql(format!("SELECT {COLUMNS} FROM {t} WHERE id = $1 AND expires_at > $2")),
            save: sql(format!(
                "UPDATE {t} SET version = $1, user_id = $2, expires_at = $3, payload = $4 \
                 WHERE id = $5 AND version = $6 AND {is_live} $7"
            )),
            touch: sql(format!("UPDATE {t} SET expires_at = $1 WHERE id = $2 AND version = $3 AND {is_live} $4")),
            delete: sql(format!("DELETE FROM {t} WHERE id = $1")),
            expired: sql(format!(
                "SELECT version, user_id, expires_at, {}, id FROM {t} WHERE expires_at <= $1 LIMIT $2",
                DB::NO_PAYLOAD
            )),
            delete_expired: sql(format!("DELETE FROM {t} WHERE {id_among} AND expires_at <= ${time}")),
            page: sql(format!("SELECT {COLUMNS}, id FROM {t} WHERE id > $1 ORDER BY id LIMIT $2")),
            records_of: sql(format!("SELECT {COLUMNS}, id FROM {t} WHERE user_id = $1 AND expires_at > $2")),
            table,
        }
    }
}

/// That many parameters, from the first.
fn list(parameters: usize) -> String {
    (1..=parameters).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["sessions", "Sessions_2", "_", "app.sessions", &"s".repeat(48), &format!("a.{}", "s".repeat(48))] {
            assert_eq!(Table::parse(name).unwrap().to_string(), name);
        }
        let long = "s".repeat(49);
        for name in [
            "", ".", "a.", ".a", "a.b.c", "a b", "a;b", "a\"b", "a`b", "a'b", "a--", "a/*", "1a", "a.1", "ä", "a\0",
            "a\n", "a$1", "a?", "a\\", "a[b]", &long,
        ] {
            assert_eq!(Table::parse(name), Err(ConfigError::TableName { name: name.to_owned() }), "{name:?}");
        }
    }

    #[test]
    fn names_are_quoted() {
        let table = Table::parse("app.select").unwrap();
        assert_eq!(table.qualified('"'), r#""app"."select""#);
        assert_eq!(table.local("_user_id", '`'), "`select_user_id`");
        assert_eq!(Table::parse("select").unwrap().qualified('"'), r#""select""#);
    }
}
