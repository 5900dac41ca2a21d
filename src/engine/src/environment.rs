//! Defaults of an engine that environment variables choose: `COCA_CPU` and `COCA_RULES`.

use coca_kernels::{Cpu, InstructionSet};

use crate::{Error, Rules};

/// The instruction set that `COCA_CPU` names; the fastest of this machine where it is not set.
pub(crate) fn cpu() -> Result<Cpu, Error> {
    variable("COCA_CPU").map_or_else(|| Ok(Cpu::best()), |name| named_cpu(&name))
}

/// What `COCA_RULES` says: `on`, which is also the default, or `off`.
pub(crate) fn rules() -> Result<Rules, Error> {
    variable("COCA_RULES").map_or(Ok(Rules::On), |found| named_rules(&found))
}

/// A variable's value, unless it is empty.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

fn named_cpu(name: &str) -> Result<Cpu, Error> {
    let refused = |reason: String| {
        let supported = InstructionSet::ALL.into_iter().filter(|set| set.is_supported());
        let supported = supported.map(InstructionSet::name).collect::<Vec<_>>().join(", ");
        Error::Cpu { found: name.to_owned(), reason, supported }
    };
    match name.parse::<InstructionSet>() {
        Err(unknown) => Err(refused(unknown.to_string())),
        Ok(set) => Cpu::with(set).ok_or_else(|| refused("this CPU lacks it".to_owned())),
    }
}

fn named_rules(found: &str) -> Result<Rules, Error> {
    match found {
        "on" => Ok(Rules::On),
        "off" => Ok(Rules::Off),
        _ => Err(Error::Rules { found: found.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_on_or_off_and_nothing_else() {
        assert_eq!(named_rules("on").unwrap(), Rules::On);
        assert_eq!(named_rules("off").unwrap(), Rules::Off);
        let error = named_rules("no").unwrap_err().to_string();
        assert_eq!(error, "COCA_RULES=no: expected on or off");
    }

    #[test]
    fn an_unknown_instruction_set_is_refused_with_those_there_are() {
        assert_eq!(named_cpu("scalar").unwrap().instruction_set(), InstructionSet::Scalar);
        let error = named_cpu("mmx").unwrap_err().to_string();
        assert!(error.starts_with("COCA_CPU=mmx: ") && error.contains("scalar"), "{error}");
    }
}
