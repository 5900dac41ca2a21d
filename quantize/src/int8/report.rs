//! The report of quantising: sizes before and after, and the weights that are not int8.

use std::{collections::BTreeMap, fmt};

use coca_onnx::{is_external, pb::GraphProto};
use indicatif::DecimalBytes;

use super::{
    calibrate::Calibrated,
    convolutions::StaticConvolutions,
    decibels,
    error::Error,
    plan::{Plan, Treatment},
    source,
    uses::Reason,
};

/// Results of quantising a bundle. [`fmt::Display`] prints a table of the parts.
#[derive(Debug, Clone)]
pub struct Report {
    /// The parts, by name.
    pub parts: Vec<PartReport>,
    /// Weights that were not stored as int8.
    pub left: Vec<Left>,
    /// Bytes of all files of the bundle, before and after.
    pub bytes: [u64; 2],
    /// Results of the calibration, if one was asked for.
    pub calibrated: Option<Calibrated>,
    /// Results of quantising the image encoder's convolutions statically, if it has some and there were pictures.
    pub convolutions: Option<StaticConvolutions>,
}

/// Results for one part.
#[derive(Debug, Clone)]
pub struct PartReport {
    /// Its file name.
    pub name: String,
    /// Layers and tables that became int8.
    pub int8: usize,
    /// Layers, tables and other matrices that did not.
    pub left: usize,
    /// Bytes of the graph and of all weights it reads, before and after. Parts share weights.
    pub bytes: [u64; 2],
}

/// A weight of two or more dimensions that was not stored as int8.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// Its name.
    pub name: String,
    /// Its element type: `f32`, or `f16`.
    pub stored: &'static str,
    /// The reason.
    pub reason: Reason,
}

/// Bytes of the external weights of `graph`, the graph of `part`.
pub(super) fn weight_bytes(part: &str, graph: &GraphProto) -> Result<u64, Error> {
    let mut bytes = 0;
    for tensor in graph.initializer.iter().filter(|tensor| is_external(tensor)) {
        bytes += source::id(part, tensor)?.length() as u64;
    }
    Ok(bytes)
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        parts: &BTreeMap<String, [u64; 2]>,
        bytes: [u64; 2],
        calibrated: Option<Calibrated>,
        convolutions: Option<StaticConvolutions>,
    ) -> Self {
        let quantized = |name: &str| {
            let here = convolutions.as_ref().filter(|convolutions| convolutions.part == name);
            here.map_or(0, |convolutions| convolutions.convolutions)
        };
        let part = |(name, &bytes): (&String, &[u64; 2])| {
            let weights = || plan.weights.values().filter(|weight| weight.parts.contains(name));
            let int8 = weights().filter(|w| matches!(w.treatment, Treatment::Int8(_))).count();
            let left = weights().count() - int8;
            PartReport { name: name.clone(), int8: int8 + quantized(name), left, bytes }
        };
        let left = plan.weights.values().filter_map(|weight| {
            let (stored, reason) = match &weight.treatment {
                Treatment::Int8(_) => return None,
                Treatment::F16(reason) => ("f16", reason),
                Treatment::Keep(reason) if weight.f16 => ("f16", reason),
                Treatment::Keep(reason) => ("f32", reason),
            };
            Some(Left { name: weight.name.clone(), stored, reason: reason.clone() })
        });
        let (parts, left) = (parts.iter().map(part).collect(), left.collect());
        Self { parts, left, bytes, calibrated, convolutions }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<22} {:>5} {:>5} {:>12} {:>12}", "part", "int8", "left", "before", "after")?;
        for PartReport { name, int8, left, bytes: [before, after] } in &self.parts {
            let [before, after] = [before, after].map(|&bytes| DecimalBytes(bytes).to_string());
            writeln!(f, "{name:<22} {int8:>5} {left:>5} {before:>12} {after:>12}")?;
        }
        let [before, after] = self.bytes.map(|bytes| DecimalBytes(bytes).to_string());
        writeln!(f, "{:<34} {before:>12} {after:>12}", "all files, shared weights once")?;
        for Left { name, stored, reason } in &self.left {
            writeln!(f, "left as {stored}: {name}: {reason}")?;
        }
        self.convolutions.as_ref().map_or(Ok(()), |convolutions| convolutions.fmt(f))?;
        self.calibrated.as_ref().map_or(Ok(()), |calibrated| calibrated.fmt(f))
    }
}

impl fmt::Display for Calibrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [smoothed, norms] = self.smoothed;
        let Self { pictures, biases, .. } = self;
        writeln!(
            f,
            "{pictures} pictures: {smoothed} of {norms} norms smoothed, {biases} biases corrected"
        )?;
        decibels::write_worst(f, &self.layers)
    }
}
