//! `coca doctor`: a check of this board.

use coca_edge::doctor::{Board, Finding, Verdict, examine};
use serde::Serialize;

use super::{
    Global, Outcome,
    output::{self, ReportFormat},
};

/// Look at this board's cameras, permissions, processor, memory, heat, disk and clock; say what to do
///
/// Changes nothing. Exit status: 0; 1 if something needs to be done.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// How to print it
    #[arg(long, default_value = "text")]
    format: ReportFormat,
}

#[derive(Serialize)]
struct Diagnosis {
    fine: bool,
    findings: Vec<Finding>,
}

pub(super) fn run(global: &Global, arguments: &Arguments) -> anyhow::Result<Outcome> {
    let findings = examine(&Board::this(&global.engine()?), &global.open_bundle()?);
    let fine = !findings.iter().any(Finding::is_to_do);
    match arguments.format {
        ReportFormat::Text => output::print_report(findings.iter().flat_map(lines))?,
        ReportFormat::Json => output::print_json_report(&Diagnosis { fine, findings })?,
    }
    Ok(if fine { Outcome::Done } else { Outcome::SomeFailed })
}

fn lines(Finding { check, found, verdict }: &Finding) -> Vec<String> {
    let (mark, advice) = match verdict {
        Verdict::Fine => ("fine", None),
        Verdict::Hint(advice) => ("hint", Some(advice)),
        Verdict::ToDo(advice) => ("TO DO", Some(advice)),
    };
    let advice = advice.map(|advice| format!("                    → {advice}"));
    std::iter::once(format!("{mark:<6} {check:<12} {found}")).chain(advice).collect()
}
