//! Objects of a configuration, read key by key.

use std::{collections::BTreeSet, ops::RangeInclusive};

use serde_json::{Map, Value};

use super::ConfigError;

/// An object of the configuration, and the keys read from it so far.
pub(crate) struct Section<'a> {
    name: &'a str,
    object: &'a Map<String, Value>,
    known: BTreeSet<&'static str>,
}

impl<'a> Section<'a> {
    /// Wraps the object `name`, which is `value`.
    pub(crate) fn new(name: &'a str, value: Option<&'a Value>) -> Result<Self, ConfigError> {
        match value {
            Some(Value::Object(object)) => Ok(Self { name, object, known: BTreeSet::new() }),
            other => Err(ConfigError::new(name, "an object", &show(other))),
        }
    }

    /// The value of `key`; `null` is the same as nothing.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.insert(key);
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// A number from 1 to `largest`.
    pub(crate) fn size(
        &mut self,
        key: &'static str,
        default: usize,
        largest: usize,
    ) -> Result<usize, ConfigError> {
        self.size_in(key, default, 1..=largest)
    }

    /// A number in `range`.
    pub(crate) fn size_in(
        &mut self,
        key: &'static str,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> Result<usize, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let size = value.as_u64().and_then(|v| usize::try_from(v).ok());
        let expected = || format!("a number from {} to {}", range.start(), range.end());
        size.filter(|size| range.contains(size))
            .ok_or_else(|| self.wrong(key, &expected(), Some(value)))
    }

    /// Height and width: a number for both, or a list of two.
    pub(crate) fn pair(
        &mut self,
        key: &'static str,
        default: usize,
        largest: usize,
    ) -> Result<[usize; 2], ConfigError> {
        let Some(value) = self.get(key) else { return Ok([default; 2]) };
        let one = |v: &Value| {
            let size = usize::try_from(v.as_u64()?).ok()?;
            (1..=largest).contains(&size).then_some(size)
        };
        let both = match value {
            Value::Array(list) => match &list[..] {
                [height, width] => one(height).zip(one(width)),
                _ => None,
            },
            other => one(other).map(|size| (size, size)),
        };
        let expected = format!("a number from 1 to {largest}, or two, height first");
        both.map(|(h, w)| [h, w]).ok_or_else(|| self.wrong(key, &expected, Some(value)))
    }

    /// A number above 0.
    pub(crate) fn number(&mut self, key: &'static str, default: f64) -> Result<f64, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value
            .as_f64()
            .filter(|v| v.is_finite() && *v > 0.0)
            .ok_or_else(|| self.wrong(key, "a number above 0", Some(value)))
    }

    /// `true` or `false`; `false` if it is not there.
    pub(crate) fn flag(&mut self, key: &'static str) -> Result<bool, ConfigError> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            other => Err(self.wrong(key, "true or false", other)),
        }
    }

    /// A number for each of red, green and blue; one number stands for all.
    pub(crate) fn channels(
        &mut self,
        key: &'static str,
        default: [f64; 3],
    ) -> Result<[f64; 3], ConfigError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let three = match value {
            Value::Array(list) => match &list[..] {
                [r, g, b] => Some([r.as_f64(), g.as_f64(), b.as_f64()]),
                _ => None,
            },
            one => Some([one.as_f64(); 3]),
        };
        match three {
            Some([Some(r), Some(g), Some(b)]) => Ok([r, g, b]),
            _ => Err(self.wrong(key, "three numbers: red, green, blue", Some(value))),
        }
    }

    /// Checks that `key`, if it is there, has the one value that is supported.
    pub(crate) fn only(&mut self, key: &'static str, supported: &Value) -> Result<(), ConfigError> {
        match self.get(key) {
            Some(found) if found != supported => {
                Err(self.wrong(key, &supported.to_string(), Some(found)))
            }
            _ => Ok(()),
        }
    }

    /// Checks that none of `keys` is switched on: each is missing, `null`, `false` or empty.
    pub(crate) fn off(&mut self, keys: &[&'static str]) -> Result<(), ConfigError> {
        for &key in keys {
            match self.get(key) {
                None | Some(Value::Bool(false)) => {}
                Some(Value::Object(object)) if object.is_empty() => {}
                found => return Err(self.wrong(key, "nothing (this is not supported)", found)),
            }
        }
        Ok(())
    }

    /// Keys without an effect on the answers.
    pub(crate) fn ignore(&mut self, keys: &[&'static str]) {
        self.known.extend(keys);
    }

    /// Checks that every key was read: an unknown one may change the answers.
    pub(crate) fn finish(self) -> Result<(), ConfigError> {
        match self.object.iter().find(|(key, _)| !self.known.contains(key.as_str())) {
            None => Ok(()),
            Some((key, value)) => Err(self.wrong(
                key,
                "a configuration without this key (it is unknown here)",
                Some(value),
            )),
        }
    }

    /// The error that `key` of this object should be `expected`.
    pub(crate) fn wrong(&self, key: &str, expected: &str, found: Option<&Value>) -> ConfigError {
        ConfigError::new(&format!("{}.{key}", self.name), expected, &show(found))
    }
}

fn show(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}
