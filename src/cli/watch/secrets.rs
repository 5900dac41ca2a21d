//! Source and token that stand on no command line: in a credentials file, or in the environment.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use anyhow::Context;
use coca_edge::{camera::SourceSpec, display::Token};

use crate::cli::Usage;

/// Name of the credential: `LoadCredential=coca-watch:FILE` in a unit of systemd.
const CREDENTIAL: &str = "coca-watch";
const SOURCE: &str = "COCA_SOURCE";
const TOKEN: &str = "COCA_TOKEN";

/// Values by name: what the service manager hands over in a file, else the environment's.
pub(super) struct Secrets(BTreeMap<&'static str, String>);

impl Secrets {
    pub(super) fn read() -> anyhow::Result<Self> {
        let mut values = BTreeMap::new();
        for name in [SOURCE, TOKEN] {
            match env::var(name) {
                Ok(value) => drop(values.insert(name, value)),
                Err(env::VarError::NotPresent) => {}
                Err(env::VarError::NotUnicode(_)) => {
                    return Err(Usage(format!("{name}: expected UTF-8")).into());
                }
            }
        }
        if let Some(folder) = env::var_os("CREDENTIALS_DIRECTORY") {
            let path = PathBuf::from(folder).join(CREDENTIAL);
            if path.exists() {
                let shown = path.display().to_string();
                let text = fs::read_to_string(&path).with_context(|| shown.clone())?;
                values.extend(parse(&text).with_context(|| shown)?);
            }
        }
        Ok(Self(values))
    }

    pub(super) fn source(&self) -> anyhow::Result<Option<SourceSpec>> {
        let Some(text) = self.0.get(SOURCE) else { return Ok(None) };
        let source = text.parse::<SourceSpec>();
        Ok(Some(source.map_err(|error| Usage(format!("{SOURCE}: {error}")))?))
    }

    pub(super) fn token(&self) -> anyhow::Result<Option<Token>> {
        let Some(text) = self.0.get(TOKEN) else { return Ok(None) };
        Ok(Some(secret(text).map_err(|error| Usage(format!("{TOKEN}: {error}")))?))
    }
}

/// Reads a token. An empty one would leave the page open to everybody.
pub(super) fn secret(text: &str) -> Result<Token, String> {
    Token::new(text).ok_or_else(|| "expected a secret, found none".to_owned())
}

/// Lines of `NAME=VALUE`, blank ones, and comments behind `#`. Errors show no value.
fn parse(text: &str) -> Result<BTreeMap<&'static str, String>, Usage> {
    let mut values = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let known = line.split_once('=').and_then(|(name, value)| {
            let name = [SOURCE, TOKEN].into_iter().find(|known| *known == name.trim_end())?;
            Some((name, value.trim_start().to_owned()))
        });
        let expected = || Usage(format!("line {number}: expected {SOURCE}=… or {TOKEN}=…"));
        let (name, value) = known.ok_or_else(expected)?;
        values.insert(name, value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credentials_file_has_a_value_a_line_and_comments() {
        let text = "# the door\nCOCA_SOURCE=http://u:p@cam/?a=b\n\n  COCA_TOKEN = correct horse\n";
        let values = parse(text).unwrap();
        assert_eq!(values[SOURCE], "http://u:p@cam/?a=b");
        assert_eq!(values[TOKEN], "correct horse");
        assert!(parse("#COCA_TOKEN=x").unwrap().is_empty());
    }

    #[test]
    fn a_line_that_is_no_credential_is_named_without_what_stands_in_it() {
        for text in ["COCA_TOKEN=a\nhush", "\nTOKEN=hush", "a=b\nhush=1\n"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("line ") && !error.contains("hush"), "{error}");
        }
    }
}
