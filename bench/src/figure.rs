//! Figures: what a command measured, as it is printed and as it is kept for the report.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One number, with the quartiles around it where it was measured in rounds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// `W1`, or `W6 read`.
    pub(crate) workload: String,
    /// Who was measured: `bare`, `cloakroom`, `tower-sessions 0.15`.
    pub(crate) subject: String,
    /// What: `time`, `over bare`, `allocations`.
    pub(crate) metric: String,
    /// `ns`, `B`, `1/s`, and nothing for a plain number or a ratio.
    pub(crate) unit: String,
    /// Where on the x axis of a plot, if it is a part of one: the number of sessions, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) x: Option<f64>,
    /// The median.
    pub(crate) value: f64,
    /// The lower quartile, or the value.
    pub(crate) low: f64,
    /// The upper quartile, or the value.
    pub(crate) high: f64,
}

impl Figure {
    /// A number that was counted, not sampled.
    pub(crate) fn exact(workload: &str, subject: &str, metric: &str, unit: &str, value: f64) -> Self {
        let [workload, subject, metric, unit] = [workload, subject, metric, unit].map(str::to_owned);
        Self { workload, subject, metric, unit, x: None, value, low: value, high: value }
    }

    /// Median and quartiles of what the rounds gave.
    pub(crate) fn of(workload: &str, subject: &str, metric: &str, unit: &str, rounds: &[f64]) -> Self {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize];
        Self { low: at(0.25), high: at(0.75), ..Self::exact(workload, subject, metric, unit, at(0.5)) }
    }

    pub(crate) fn at(self, x: f64) -> Self {
        Self { x: Some(x), ..self }
    }
}

/// Where this crate's folder is.
pub(crate) fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn place(command: &str) -> PathBuf {
    home().join("results").join(format!("{command}.json"))
}

/// Prints the figures and writes them to `results/COMMAND.json`. Nothing is written if there are none.
pub(crate) fn keep(command: &str, figures: &[Figure]) -> Result<(), Box<dyn Error>> {
    for figure in figures {
        println!("{}", line(figure));
    }
    if figures.is_empty() {
        return Ok(());
    }
    let place = place(command);
    fs::create_dir_all(home().join("results"))?;
    fs::write(place, serde_json::to_string_pretty(figures)? + "\n")?;
    Ok(())
}

fn line(figure: &Figure) -> String {
    let Figure { workload, subject, metric, unit, x, value, low, high } = figure;
    let x = x.map_or_else(String::new, |x| format!("{x}"));
    format!("{workload:12} {subject:24} {metric:24} {x:>9} {value:14.2} {unit:4} {low:14.2} … {high:.2}")
}

/// What a command wrote when it ran last.
pub(crate) fn kept(command: &str) -> Result<Vec<Figure>, Box<dyn Error>> {
    Ok(serde_json::from_str(&fs::read_to_string(place(command))?)?)
}
