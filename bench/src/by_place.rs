//! Where the instructions of a request are: by crate and module, and by function, into `WHERE.md`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;

use crate::callgrind::{Place, Profile};
use crate::subjects::{BARE, CLOAKROOM, FLOOR, LOSSLESS, SECURED, named};
use crate::work::Work;
use crate::{Args, Outcome, callgrind, figure};

/// The workloads whose paths differ; W1m is W1 with a longer header.
const WORKS: [Work; 5] = [Work::W1, Work::W2, Work::W3, Work::W4, Work::W5];

/// Rows that have fewer instructions in every column are one row.
const FEW: f64 = 15.0;
const FEW_OF_A_FUNCTION: f64 = 100.0;

const BEGIN: &str = "<!-- tables: written by `cargo run --release -- where` -->";
const END: &str = "<!-- end of the tables -->";

pub(crate) fn run(args: &Args) -> Outcome {
    let times = args.value("--times", 2_000)?;
    let profiles = |subject: &str| -> Result<Vec<Profile>, Box<dyn Error>> {
        let subject = named(subject).ok_or("it is always there")?;
        WORKS.into_iter().map(|work| callgrind::of_a_request(subject, work, times)).collect()
    };
    let bare = profiles(BARE)?;
    let mut text = String::new();
    for subject in [CLOAKROOM, LOSSLESS, SECURED, FLOOR] {
        let own = profiles(subject)?;
        let over: Vec<_> = own.iter().zip(&bare).map(|(own, bare)| minus(own, bare)).collect();
        let title = format!("Instructions of {subject} over the bare handler, by crate and module");
        write!(text, "\n### {title}\n\n{}", table(&over, FEW, group))?;
        if subject == CLOAKROOM {
            let title = format!("Instructions of {subject} over the bare handler, by function");
            write!(
                text,
                "\n### {title}\n\n{}",
                table(&over, FEW_OF_A_FUNCTION, |place| format!("`{}`", short(&place.function)))
            )?;
        }
    }
    println!("{text}");
    put(&text)?;
    Ok(Vec::new())
}

fn minus(own: &Profile, bare: &Profile) -> Profile {
    let mut rest = own.0.clone();
    for (place, instructions) in &bare.0 {
        *rest.entry(place.clone()).or_default() -= instructions;
    }
    Profile(rest)
}

fn table(profiles: &[Profile], few: f64, row: impl Fn(&Place) -> String) -> String {
    let mut rows: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (column, profile) in profiles.iter().enumerate() {
        for (place, instructions) in &profile.0 {
            rows.entry(row(place)).or_insert_with(|| vec![0.0; profiles.len()])[column] += instructions;
        }
    }
    let (mut many, others): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|(_, cells)| cells.iter().any(|cell| cell.abs() >= few));
    many.sort_by(|one, other| other.1.iter().sum::<f64>().total_cmp(&one.1.iter().sum()));
    let sum = |of: &[(String, Vec<f64>)], column: usize| of.iter().map(|(_, cells)| cells[column]).sum::<f64>();
    let sums = |of: &[(String, Vec<f64>)]| (0..profiles.len()).map(|column| sum(of, column)).collect::<Vec<_>>();
    let (all, others) = (profiles.iter().map(Profile::total).collect(), sums(&others));
    many.push(("others".to_owned(), others));
    many.push(("**all**".to_owned(), all));

    let heads: String = WORKS.iter().map(|work| format!(" {} |", work.name())).collect();
    let mut text = format!("| |{heads}\n|---|{}\n", "--:|".repeat(profiles.len()));
    for (name, cells) in many {
        let cells: String = cells.iter().map(|cell| format!(" {} |", cell.round() as i64)).collect();
        text += &format!("| {} |{cells}\n", name.replace('|', "\\|"));
    }
    text
}

/// The crate, and the module if it is one of ours. Code of the standard library that was inlined goes to the function that it
/// was inlined into; what is generic, to the type that it is about.
fn group(place: &Place) -> String {
    let Place { function, file } = place;
    if let Some(group) = of_libc(function) {
        return group.to_owned();
    }
    if file.contains("/bench/src/floor") {
        return "the floor".to_owned();
    }
    if file.contains("/bench/src/") {
        return "handler and benchmark".to_owned();
    }
    let root = figure::home().parent().unwrap_or(figure::home()).join("src");
    if let Some(module) = file.strip_prefix(&*root.to_string_lossy()) {
        let module = module.trim_start_matches('/').split(['/', '.']).next().unwrap_or_default();
        return format!("cloakroom: {module}");
    }
    if let Some((_, path)) = file.split_once("/registry/src/") {
        let package = path.split('/').nth(1).unwrap_or_default();
        return package.rsplit_once('-').map_or(package, |(name, _)| name).replace('_', "-");
    }
    of_symbol(function)
}

fn of_libc(function: &str) -> Option<&'static str> {
    const MEMORY: [&str; 9] = [
        "malloc",
        "free",
        "realloc",
        "calloc",
        "cfree",
        "unlink_chunk",
        "malloc_consolidate",
        "sysmalloc",
        "tcache_init",
    ];
    let name = function.split(['.', '\'', '@']).next()?.trim_start_matches("_int_");
    if MEMORY.contains(&name) || function.starts_with("__rustc::") {
        Some("malloc and free")
    } else if ["mem", "__mem", "str", "__str"].iter().any(|start| name.starts_with(start)) && !name.contains("::") {
        Some("memcpy and its like")
    } else {
        None
    }
}

/// The first crate in a symbol that is not the standard library.
fn of_symbol(function: &str) -> String {
    let words: Vec<_> = function.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).collect();
    let mut paths =
        words.iter().filter_map(|word| word.split_once("::")).map(|(first, rest)| (first, rest.trim_matches(':')));
    let foreign = paths.find(|(first, _)| !["", "core", "alloc", "std"].contains(first));
    match foreign {
        Some(("cloakroom", rest)) => format!("cloakroom: {}", rest.split(':').next().unwrap_or_default()),
        Some(("cloakroom_bench", rest)) if rest.starts_with("floor") => "the floor".to_owned(),
        Some(("cloakroom_bench", _)) => "handler and benchmark".to_owned(),
        Some((package, _)) => package.replace('_', "-"),
        None => "std and system".to_owned(),
    }
}

/// Without the hash, and not longer than a line.
fn short(function: &str) -> String {
    let is_hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit());
    let name = match function.rsplit_once("::h") {
        Some((name, hash)) if is_hash(hash) => name,
        _ => function,
    };
    let name = name.replace("cloakroom::", "").replace("{{closure}}", "{}");
    if name.chars().count() <= 90 { name } else { name.chars().take(89).chain(['…']).collect() }
}

/// Between the marks, and the rest of the page as it is.
fn put(tables: &str) -> Result<(), Box<dyn Error>> {
    let place = figure::home().join("WHERE.md");
    let page = fs::read_to_string(&place)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("WHERE.md has lost the mark where its tables begin")?;
    let (_, after) = rest.split_once(END).ok_or("WHERE.md has lost the mark where its tables end")?;
    Ok(fs::write(place, format!("{before}{BEGIN}\n{tables}\n{END}{after}"))?)
}
