//! `RESULTS.md` and its plots, from what the commands kept.

mod goals;
mod machine;
mod plot;

use std::error::Error;
use std::fs;

use crate::figure::{self, Figure, distinct, kept};
use crate::{Args, COMMANDS, Outcome};

/// What a chapter says before its tables.
const ABOUT: &[(&str, &str)] = &[
    ("time", include_str!("report/time.md")),
    ("count", include_str!("report/count.md")),
    ("at_once", include_str!("report/at_once.md")),
    ("memory", include_str!("report/memory.md")),
    ("growth", include_str!("report/growth.md")),
    ("load", include_str!("report/load.md")),
];

pub(crate) fn run(_: &Args) -> Outcome {
    let mut page = include_str!("report/intro.md").to_owned() + "\n" + &machine::describe() + "\n" + &goals::chapter();
    for (command, title, _) in COMMANDS {
        let Ok(figures) = kept(command) else { continue };
        let about = ABOUT.iter().find(|(of, _)| of == command).map_or("", |(_, about)| *about);
        page += &format!("\n## {title}\n\n`{command}`\n\n{about}\n");
        for (metric, unit) in distinct(figures.iter().map(|figure| (figure.metric.clone(), figure.unit.clone()))) {
            let of_metric: Vec<_> = figures.iter().filter(|it| it.metric == metric && it.unit == unit).collect();
            page += &format!("### {metric}{}\n\n", if unit.is_empty() { String::new() } else { format!(", {unit}") });
            page += &section(command, &metric, &of_metric)?;
        }
    }
    let place = figure::home().join("RESULTS.md");
    fs::write(&place, page)?;
    println!("{}", place.display());
    Ok(Vec::new())
}

/// A table, and a plot of what is a curve or is compared among many.
fn section(command: &str, metric: &str, figures: &[&Figure]) -> Result<String, Box<dyn Error>> {
    let mut text = table(figures) + "\n";
    let place = |name: &str| format!("results/{}.svg", name.replace([' ', ','], "-"));
    if metric.ends_with("over bare") && figures.iter().any(|figure| figure.value > 20.0) {
        let place = place(&format!("{command} {metric}"));
        plot::bars(&figure::home().join(&place), metric, figures)?;
        text += &format!("![{metric}]({place})\n\n");
    }
    for workload in distinct(figures.iter().map(|figure| &figure.workload)) {
        let is_own = |figure: &&Figure| figure.workload == *workload && figure.x.is_some();
        let curve: Vec<_> = figures.iter().copied().filter(is_own).collect();
        if distinct(curve.iter().map(|figure| figure.x)).len() > 2 {
            let (place, title) = (place(&format!("{command} {metric} {workload}")), format!("{workload}, {metric}"));
            plot::curves(&figure::home().join(&place), &title, &curve)?;
            text += &format!("![{title}]({place})\n\n");
        }
    }
    Ok(text)
}

/// Subjects by workloads, or by x; with the quartiles where they were sampled.
fn table(figures: &[&Figure]) -> String {
    let column = |figure: &Figure| match figure.x {
        Some(x) => format!("{} {x}", figure.workload),
        None => figure.workload.clone(),
    };
    let heads = distinct(figures.iter().map(|figure| column(figure)));
    let mut text = format!("| | {} |\n|---|{}\n", heads.join(" | "), "--:|".repeat(heads.len()));
    for subject in distinct(figures.iter().map(|figure| &figure.subject)) {
        let cell = |head: &String| {
            let own = figures.iter().find(|figure| figure.subject == *subject && column(figure) == *head);
            own.map_or_else(String::new, |figure| shown(figure))
        };
        text += &format!("| {subject} | {} |\n", heads.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    text
}

fn shown(figure: &Figure) -> String {
    let Figure { value, low, high, .. } = figure;
    if low.total_cmp(high).is_eq() {
        number(*value)
    } else {
        format!("{} <sub>{}–{}</sub>", number(*value), number(*low), number(*high))
    }
}

/// Three digits or all that stand before the point.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 || value.fract().abs() < 0.005 => 0,
        medium if medium >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if text.len() < 6 || digits > 0 { text } else { in_groups(&text) }
}

fn in_groups(digits: &str) -> String {
    let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    sign.to_owned() + &groups.join(",")
}
