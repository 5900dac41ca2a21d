//! Options of a display's spec: `key=value&key=value`.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::Error;

/// The options of one spec. Each is taken once; [`finish`](Self::finish) refuses what is left over.
#[derive(Debug)]
pub(super) struct Options {
    display: String,
    values: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl Options {
    /// Splits `query`. `display` is the spec without its options, for messages.
    pub(super) fn parse(display: &str, query: &str) -> Result<Self, Error> {
        let mut options =
            Self { display: display.to_owned(), values: BTreeMap::new(), known: Vec::new() };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            // `?invert` alone is an option without a value, which no option takes.
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let Ok(decoded) = percent_decode_str(value).decode_utf8() else {
                return Err(options.wrong("options", "UTF-8", &format!("{key} with other bytes")));
            };
            if options.values.insert(key.to_owned(), decoded.into_owned()).is_some() {
                return Err(options.wrong("options", "each once", &format!("{key} twice")));
            }
        }
        Ok(options)
    }

    /// The spec without its options.
    pub(super) fn display(&self) -> &str {
        &self.display
    }

    /// Takes the value of `key`.
    pub(super) fn take(&mut self, key: &'static str) -> Option<String> {
        self.known.push(key);
        self.values.remove(key)
    }

    /// Takes a value that `read` understands; `expected` describes such values.
    pub(super) fn take_as<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.take(key) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| self.wrong(key, expected, &value))
    }

    /// Takes `WIDTHxHEIGHT`, in pixels.
    pub(super) fn take_size(&mut self, key: &'static str) -> Result<Option<(u32, u32)>, Error> {
        match self.take(key) {
            Some(value) => self.size_of(key, &value).map(Some),
            None => Ok(None),
        }
    }

    /// Reads `WIDTHxHEIGHT`, in pixels.
    pub(super) fn size_of(&self, key: &'static str, value: &str) -> Result<(u32, u32), Error> {
        let side = |text: &str| text.parse().ok().filter(|side| (1..=8192).contains(side));
        let read = || {
            let (width, height) = value.split_once('x')?;
            Some((side(width)?, side(height)?))
        };
        read().ok_or_else(|| self.wrong(key, "WIDTHxHEIGHT, each 1 to 8192", value))
    }

    /// The error for a value of `key` that cannot be used.
    pub(super) fn wrong(&self, key: &'static str, expected: &'static str, found: &str) -> Error {
        Error::Value { display: self.display.clone(), key, expected, found: found.to_owned() }
    }

    /// Refuses options that nobody took.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self.values.into_keys().next() {
            None => Ok(()),
            Some(found) => {
                let known = match self.known.as_slice() {
                    [] => "none".to_owned(),
                    keys => keys.join(", "),
                };
                Err(Error::UnknownOption { display: self.display, found, known })
            }
        }
    }
}
