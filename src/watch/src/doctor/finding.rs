//! What an examination comes to.

use std::fmt;

use serde::Serialize;

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Check {
    /// Cameras, their formats, and camera modules that need a pipe.
    Camera,
    /// Who may open devices.
    Permissions,
    /// The instruction sets and the kernels that use them.
    Processor,
    /// Cores and threads.
    Cores,
    /// Memory, its limits, and what the model needs.
    Memory,
    /// Temperatures.
    Temperature,
    /// Whether heat, power or a setting slows the board down.
    Throttling,
    /// Free space.
    Disk,
    /// The time of day.
    Clock,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// What is there.
    pub found: String,
    /// What it means.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What a finding means, with what to do in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", content = "advice", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is to be done.
    Fine,
    /// It works; good to know.
    Hint(String),
    /// It does not work, or not well.
    ToDo(String),
}

impl Verdict {
    /// What to do, if there is anything.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        match self {
            Self::Fine => None,
            Self::Hint(advice) | Self::ToDo(advice) => Some(advice),
        }
    }
}

impl Finding {
    /// Whether something has to be done.
    #[must_use]
    pub fn is_to_do(&self) -> bool {
        matches!(self.verdict, Verdict::ToDo(_))
    }

    pub(super) fn fine(check: Check, found: impl Into<String>) -> Self {
        Self { check, found: found.into(), verdict: Verdict::Fine }
    }

    pub(super) fn hint(check: Check, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, found: found.into(), verdict: Verdict::Hint(advice.into()) }
    }

    pub(super) fn to_do(check: Check, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, found: found.into(), verdict: Verdict::ToDo(advice.into()) }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Camera => "camera",
            Self::Permissions => "permissions",
            Self::Processor => "processor",
            Self::Cores => "cores",
            Self::Memory => "memory",
            Self::Temperature => "temperature",
            Self::Throttling => "throttling",
            Self::Disk => "disk",
            Self::Clock => "clock",
        })
    }
}
