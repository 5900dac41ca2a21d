//! Findings of an examination.

use std::fmt;

use serde::Serialize;

/// Subject of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Check {
    /// Cameras, their formats, and camera modules that need a pipe.
    Camera,
    /// Permissions of devices.
    Permissions,
    /// The instruction sets and the kernels that use them.
    Processor,
    /// Cores and threads.
    Cores,
    /// Memory, its limits, and the model's need.
    Memory,
    /// Temperatures.
    Temperature,
    /// Heat, power or a setting that slows the board down.
    Throttling,
    /// Free space.
    Disk,
    /// The time of day.
    Clock,
}

/// A fact about the board and what it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its subject.
    pub check: Check,
    /// The fact.
    pub found: String,
    /// Its meaning.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Meaning of a finding, with advice.
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
    /// The advice, if there is any.
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
