//! Inputs that mutations begin with, in memory and as a folder of files.

use std::{error::Error, fs, path::Path};

use crate::Target;

/// Inputs that mutations begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus(Vec<Vec<u8>>);

impl Corpus {
    /// The seeds of a target.
    ///
    /// # Errors
    /// When a file that they are made of is missing.
    pub fn of(target: &Target) -> Result<Self, Box<dyn Error>> {
        Ok(Self((target.seeds)()?))
    }

    /// Reads the files of a folder, in the order of their names.
    ///
    /// # Errors
    /// When one of them cannot be read, or there is none.
    pub fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
        let mut paths = entries.collect::<Result<Vec<_>, _>>()?;
        paths.sort();
        let inputs = paths.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
        if inputs.is_empty() {
            return Err(format!("{}: expected files, found none", folder.display()).into());
        }
        Ok(Self(inputs))
    }

    /// Writes a file for each input to a folder, which is made if there is none.
    ///
    /// # Errors
    /// When that fails.
    pub fn write(&self, folder: &Path) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(folder)?;
        for (number, input) in self.0.iter().enumerate() {
            fs::write(folder.join(format!("{number:04}")), input)?;
        }
        Ok(())
    }

    /// The inputs.
    #[must_use]
    pub fn inputs(&self) -> &[Vec<u8>] {
        &self.0
    }
}
