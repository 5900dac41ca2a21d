//! The type of a target.

use std::error::Error;

/// Inputs to begin with, from the project's own writers and test files.
pub type Seeds = Result<Vec<Vec<u8>>, Box<dyn Error>>;

/// A parser of bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Gives bytes to the parser and uses what comes of them; panics where that breaks a promise.
    pub run: fn(&[u8]),
    /// Makes its seeds.
    pub seeds: fn() -> Seeds,
    /// Words of the format, which mutations put in.
    pub words: &'static [&'static str],
    /// Bytes of memory that an execution may take at most.
    pub memory: usize,
    /// Whether an execution takes milliseconds: it computes, or writes files.
    pub is_slow: bool,
}

impl Target {
    /// Its words as a dictionary of libFuzzer's.
    #[must_use]
    pub fn dictionary(&self) -> String {
        let escaped = |byte: u8| format!("\\x{byte:02X}");
        let quoted = |word: &str| word.bytes().map(escaped).collect::<String>();
        self.words.iter().map(|word| format!("\"{}\"\n", quoted(word))).collect()
    }
}
