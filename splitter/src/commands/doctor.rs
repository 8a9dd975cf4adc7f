//! `kerf doctor`: what this machine can do, what is missing, and the command that gets it.

use std::fmt::Write as _;

use super::print;
use crate::doctor::{Finding, examine};
use crate::exit::{Exit, Failure, OrExit as _};

/// Say what this machine can do, what is missing, and the command that gets it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kerf doctor\n  kerf doctor --json | jq -r '.[] | select(.ready | not) | .get'")]
pub struct Args {
    /// Machine-readable: [{"area", "name", "ready", "detail", "purpose", "get"}].
    #[arg(long)]
    pub json: bool,
}

/// Prints the report.
///
/// # Errors
/// When `kerf-stage` is not to be found (30): without it nothing runs.
pub fn run(args: &Args) -> Result<(), Failure> {
    let findings = examine();
    if args.json {
        let mut text = serde_json::to_string_pretty(&findings).or_exit(Exit::Bug)?;
        text.push('\n');
        print(&text)?;
    } else {
        print(&table(&findings))?;
    }
    match findings.iter().find(|f| f.area == "kerf" && !f.ready) {
        Some(stage) => Err(Failure::new(
            Exit::BackendMissing,
            anyhow::anyhow!("{}: {}", stage.name, stage.detail),
        )),
        None => Ok(()),
    }
}

fn table(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut area = "";
    for finding in findings {
        if finding.area != area {
            area = &finding.area;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{area}");
        }
        let mark = if finding.ready { "ready  " } else { "missing" };
        let _ = writeln!(text, "  {mark} {:<22} {}", finding.name, finding.detail);
        if !finding.get.is_empty() {
            let _ = writeln!(text, "          for {}: {}", finding.purpose, finding.get);
        }
    }
    text
}
