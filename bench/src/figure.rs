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

    /// At a place on the x axis.
    #[cfg(feature = "full")]
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

/// Writes the figures to `results/COMMAND.json`. Nothing is written if there are none.
pub(crate) fn keep(command: &str, figures: &[Figure]) -> Result<(), Box<dyn Error>> {
    if !figures.is_empty() {
        fs::create_dir_all(home().join("results"))?;
        fs::write(place(command), serde_json::to_string_pretty(figures)? + "\n")?;
    }
    Ok(())
}

/// A table for each metric: subjects by workloads, or by x where there is one.
pub(crate) fn print(figures: &[Figure]) {
    let column = |figure: &Figure| figure.x.map_or_else(String::new, |x| format!(" {x}"));
    let columns = |figure: &Figure| format!("{}{}", figure.workload, column(figure));
    for metric in distinct(figures.iter().map(|figure| (figure.metric.clone(), figure.unit.clone()))) {
        let of_metric: Vec<_> =
            figures.iter().filter(|figure| (&figure.metric, &figure.unit) == (&metric.0, &metric.1)).collect();
        let heads = distinct(of_metric.iter().map(|figure| columns(figure)));
        let unit = if metric.1.is_empty() { String::new() } else { format!(", {}", metric.1) };
        println!("\n{:40}{}", metric.0 + &unit, heads.iter().map(|head| format!("{head:>14}")).collect::<String>());
        for subject in distinct(of_metric.iter().map(|figure| figure.subject.clone())) {
            let cell = |head: &String| {
                let own = of_metric.iter().find(|figure| figure.subject == subject && columns(figure) == *head);
                own.map_or_else(|| format!("{:>14}", ""), |figure| format!("{:14.2}", figure.value))
            };
            println!("{subject:40}{}", heads.iter().map(cell).collect::<String>());
        }
    }
}

/// Each once, in the order in which they come first.
pub(crate) fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.fold(Vec::new(), |mut seen, one| {
        if !seen.contains(&one) {
            seen.push(one);
        }
        seen
    })
}

/// What a command wrote when it ran last.
#[cfg(feature = "full")]
pub(crate) fn kept(command: &str) -> Result<Vec<Figure>, Box<dyn Error>> {
    Ok(serde_json::from_str(&fs::read_to_string(place(command))?)?)
}
