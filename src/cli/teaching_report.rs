//! The report of teaching, for people.

use coca_edge::tasks::{Confusion, Report};

/// Confusions that are told one by one.
const MAX_CONFUSIONS: usize = 10;

/// The report as lines of text.
pub(super) fn lines(report: &Report) -> Vec<String> {
    let (labels, pictures) = (report.labels.len(), report.pictures);
    let (right, names) = (100.0 * report.accuracy, 100.0 * report.names_alone);
    let mut lines = vec![
        format!("{labels} labels, {pictures} pictures; each picture labelled without itself:"),
        format!("  right {right:.1} %, by the names alone {names:.1} %"),
    ];
    match (report.uses_pictures, report.uses_names) {
        (false, _) => lines.push("teaching does not help: the names alone are kept".to_owned()),
        (true, false) => {
            lines
                .push("the names add nothing to the pictures: the pictures alone count".to_owned());
        }
        (true, true) if report.labels.iter().all(|label| label.pictures <= 1) => lines.push(
            "a label's only picture leaves nothing to judge by: the more the names err, the more it counts"
                .to_owned(),
        ),
        (true, true) => {}
    }
    for label in &report.labels {
        let accuracy = label.accuracy.map_or_else(|| "  -  ".to_owned(), |a| format!("{a:.3}"));
        lines.push(format!("  {accuracy}  {:>4}  {}", label.pictures, label.label));
    }
    lines.extend(report.confusions.iter().take(MAX_CONFUSIONS).map(confusion));
    lines.extend(remarks(report));
    lines
}

fn confusion(confusion: &Confusion) -> String {
    let Confusion { label, taken_for, pictures, .. } = confusion;
    let collide = if confusion.collide { ": these labels collide" } else { "" };
    format!("{label} is taken for {taken_for} in {pictures} pictures{collide}")
}

/// Remarks on the pictures, and on the use of the result.
fn remarks(report: &Report) -> Vec<String> {
    let moments = report.same_moment.iter().map(|group| {
        let (count, pictures) = (group.pictures.len(), group.pictures.join(", "));
        let label = &group.label;
        format!("{label}: {count} pictures of one moment, which teach as much as one: {pictures}")
    });
    let imbalance = report.imbalance.map(|ratio| {
        format!("one label has {ratio:.1} times the pictures of another: add to the smaller")
    });
    let none = report.none.as_ref().map(|none| {
        let (label, pictures) = (&none.label, none.pictures);
        let (recall, lost) = (100.0 * none.recall, 100.0 * none.lost);
        format!(
            "{label}: {pictures} pictures, {recall:.0} % of them recognised; \
             {lost:.0} % of the labels' pictures are lost to it"
        )
    });
    let threshold = report.threshold.map(|threshold| {
        let share = 100.0 * threshold.false_alarms;
        format!("--threshold {:.2} lets {share:.0} % false alarms through", threshold.score)
    });
    moments.chain(imbalance).chain(none).chain(threshold).collect()
}
