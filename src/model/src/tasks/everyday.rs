//! The default labels: names of everyday things.

use std::path::Path;

use super::{Error, Labels};
use crate::bundle::Fingerprint;

const NAMES: &str = include_str!("../../everyday.txt");

/// The embedded model's label table of `NAMES`.
#[cfg(feature = "pocket")]
static TABLE: Option<&[u8]> = Some(coca_pocket::EVERYDAY_TABLE);
#[cfg(not(feature = "pocket"))]
static TABLE: Option<&[u8]> = None;

/// Names of everyday things that the embedded model tells apart: people, animals, vehicles, food, furniture, tools,
/// places, sports.
pub fn everyday_names() -> impl Iterator<Item = &'static str> {
    NAMES.lines().filter(|name| !name.is_empty())
}

/// The labels that are compiled into the program; `None` for any model but the one that they were made with.
pub(super) fn embedded_labels(
    model: Fingerprint,
    logit_scale: f32,
) -> Result<Option<Labels>, Error> {
    let Some(table) = TABLE else { return Ok(None) };
    let path = Path::new("embedded model/everyday.table");
    match Labels::parse(table, path, model, logit_scale) {
        Err(Error::OtherTable { .. }) => Ok(None),
        labels => labels.map(Some),
    }
}

#[cfg(all(test, feature = "pocket"))]
mod tests {
    use super::*;
    use crate::Coca;

    #[test]
    fn the_table_inside_the_program_is_what_the_embedded_model_makes_of_the_names() {
        let coca = Coca::pocket().unwrap();
        let rebuild = "rebuild it: see models/README.md";
        let table = embedded_labels(coca.bundle().fingerprint(), 1.0).unwrap().expect(rebuild);
        let names: Vec<_> = everyday_names().map(str::to_owned).collect();
        assert_eq!(table.names(), names, "{rebuild}");
        let computed = coca.labels(names).unwrap();
        assert_eq!(table.templates(), computed.templates(), "{rebuild}");
        let difference = table.embeddings() - computed.embeddings();
        let worst = difference.fold(0_f32, |worst, d| worst.max(d.abs()));
        assert!(worst < 5e-4, "{worst}: {rebuild}");
    }

    #[test]
    fn every_name_stands_once_and_there_are_a_few_hundred() {
        let mut names: Vec<_> = everyday_names().collect();
        assert!((200..=500).contains(&names.len()), "{}", names.len());
        assert!(names.iter().all(|name| name.trim() == *name));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), everyday_names().count());
    }
}
