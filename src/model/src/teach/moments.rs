//! Pictures of one and the same moment.

use super::Shots;

/// Groups of two or more shots of one label that are linked by cosines of at least `cosine`: frames of one moment, which
/// teach no more than one of them.
#[must_use]
pub fn same_moments(shots: &Shots, cosine: f64) -> Vec<Vec<usize>> {
    let (labels, rows) = (shots.labels(), shots.embeddings());
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut seen = vec![false; labels.len()];
    for first in 0..labels.len() {
        if seen[first] {
            continue;
        }
        seen[first] = true;
        let mut group = vec![first];
        let mut next = 0;
        while let Some(&shot) = group.get(next) {
            next += 1;
            for other in first + 1..labels.len() {
                let comparable = !seen[other] && labels[other] == labels[shot];
                if comparable && rows.row(shot).dot(&rows.row(other)) >= cosine {
                    seen[other] = true;
                    group.push(other);
                }
            }
        }
        if group.len() > 1 {
            group.sort_unstable();
            groups.push(group);
        }
    }
    groups
}
