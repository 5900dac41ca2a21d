//! Groups of pictures that are nearly the same.

use std::path::Path;

use crate::{
    Error, Index, Picture,
    scan::{Scan, Wanted},
    snapshot::Snapshot,
};

/// Pictures that are nearly the same.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarGroup {
    /// The pictures, at least two, in the order that they were added.
    pub pictures: Vec<Picture>,
    /// The smallest cosine that joined two of them.
    pub cosine: f64,
}

/// Rows that are joined into groups: a row's parent is in its group, the first of a group is its own.
struct Groups {
    parents: Vec<usize>,
    cosines: Vec<f64>,
}

impl Groups {
    fn new(rows: usize) -> Self {
        Self { parents: (0..rows).collect(), cosines: vec![f64::INFINITY; rows] }
    }

    fn first(&mut self, mut row: usize) -> usize {
        while self.parents[row] != row {
            self.parents[row] = self.parents[self.parents[row]];
            row = self.parents[row];
        }
        row
    }

    fn join(&mut self, a: usize, b: usize, cosine: f64) {
        let (a, b) = (self.first(a), self.first(b));
        if a != b {
            let (first, other) = (a.min(b), a.max(b));
            self.parents[other] = first;
            self.cosines[first] = self.cosines[first].min(self.cosines[other]).min(cosine);
        }
    }
}

impl Index {
    /// Groups of pictures in which each has a cosine of at least `threshold` with another one: bursts, copies, crops. With
    /// `across_folders`, pictures of one folder do not make a group by themselves. The closest groups come first.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Database`] when the disk fails.
    pub fn similar(
        &self,
        threshold: f32,
        across_folders: bool,
    ) -> Result<Vec<SimilarGroup>, Error> {
        let snapshot = self.snapshot()?;
        let Snapshot { view, vectors, .. } = &snapshot;
        let live = snapshot.live()?;
        let mut folders: Vec<Option<String>> = vec![None; vectors.rows()];
        view.for_each(|row, picture| {
            let folder = Path::new(&picture.path).parent().and_then(Path::to_str);
            if let Some(known) = folders.get_mut(row as usize) {
                *known = Some(folder.unwrap_or_default().to_owned());
            }
        })?;
        let mut groups = Groups::new(vectors.rows());
        let mut elements = Vec::new();
        let (cpu, pool) = (self.cpu, self.pool.as_ref());
        for row in (0..vectors.rows()).filter(|row| live.contains(*row)) {
            vectors.read(row as u64, &mut elements)?;
            let scan = Scan { vectors, live: &live, allowed: None, from: row + 1, cpu, pool };
            for (other, cosine) in scan.run(&elements, Wanted::AtLeast(threshold))?.rows {
                let other = other as usize;
                if !across_folders || folders[row] != folders[other] {
                    groups.join(row, other, cosine);
                }
            }
        }
        gather(&snapshot, groups)
    }
}

/// The groups of two and more.
fn gather(snapshot: &Snapshot, mut groups: Groups) -> Result<Vec<SimilarGroup>, Error> {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.parents.len()];
    for row in 0..members.len() {
        let first = groups.first(row);
        members[first].push(row);
    }
    let mut found = Vec::new();
    for (first, rows) in members.into_iter().enumerate().filter(|(_, rows)| rows.len() > 1) {
        let mut pictures = Vec::new();
        for row in rows {
            pictures.extend(snapshot.view.picture(row as u64)?);
        }
        found.push(SimilarGroup { pictures, cosine: groups.cosines[first] });
    }
    found.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
    Ok(found)
}
