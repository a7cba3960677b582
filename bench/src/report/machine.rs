//! What the figures were measured on.

use std::fs;
use std::process::Command;

/// A line in Markdown.
pub(super) fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("an unknown processor");
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let said = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output().ok();
        output
            .map_or_else(|| format!("no {program}"), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    format!(
        "Measured on {cores} cores of {model}, Linux {}, {}, release in one codegen unit for each crate, without LTO, the \
         allocator of the C library, {}.\n",
        said("uname", &["-r"]),
        said("rustc", &["-V"]),
        said("valgrind", &["--version"]),
    )
}
