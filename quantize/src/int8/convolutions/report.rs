//! Results of quantising convolutions statically.

use std::fmt;

use super::{
    super::{decibels, uses::Reason},
    passes::ASKED_PICTURES,
};

/// Results of quantising the convolutions of an image encoder statically. [`fmt::Display`] prints a summary,
/// [`StaticConvolutions::tensors`] has the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticConvolutions {
    /// The part's file name.
    pub part: String,
    /// Images that the ranges of activations were measured on.
    pub pictures: usize,
    /// Convolutions that read and give 8-bit codes.
    pub convolutions: usize,
    /// Residual sums of codes.
    pub sums: usize,
    /// Names of nodes that a pattern keeps in floating point.
    pub kept: Vec<String>,
    /// Channels that were raised by a factor, and all between two convolutions.
    pub equalized: [usize; 2],
    /// Biases that were corrected by the mean error of rounding.
    pub biases: usize,
    /// Signal-to-noise ratio of each activation in decibels, with the noise of all rounding up to it; the worst first.
    pub tensors: Vec<(String, f64)>,
}

impl fmt::Display for StaticConvolutions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, pictures, convolutions, sums, biases, .. } = self;
        let [raised, channels] = self.equalized;
        writeln!(
            f,
            "{part}: {convolutions} convolutions and {sums} sums read and give 8-bit codes; {pictures} pictures: {raised} \
             of {channels} channels raised, {biases} biases corrected"
        )?;
        if *pictures < ASKED_PICTURES {
            writeln!(
                f,
                "{pictures} pictures are few: the ranges of {ASKED_PICTURES} or more hold for other pictures too"
            )?;
        }
        for node in &self.kept {
            writeln!(f, "left in floating point: {node}: {}", Reason::Asked)?;
        }
        decibels::write_worst(f, &self.tensors)
    }
}
