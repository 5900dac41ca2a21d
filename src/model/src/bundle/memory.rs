//! Memory that a model needs, compared with what is free before anything is loaded.

use coca_engine::{Arithmetic, Onnx};
use coca_host::AvailableMemory;

use super::{Bundle, Error, Precision};

/// A way out of too little memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryHint {
    /// The weights are int8 and the arithmetic is f32: compute in int8.
    ComputeInInt8,
    /// Take a smaller model.
    SmallerModel,
    /// Quantize the model to int8.
    Quantize,
    /// Do without captions.
    LabelsOnly,
    /// Take the model that is compiled into the program.
    EmbeddedModel,
    /// End other programs.
    EndOtherPrograms,
}

impl Bundle {
    /// Assumes that `bytes` of memory and no swap are free, whatever the system reports.
    #[must_use]
    pub fn with_available_memory(mut self, bytes: u64) -> Self {
        self.available_memory = Some(AvailableMemory { bytes, swap: 0 });
        self
    }

    /// Checks that the weights of all `parts`, given by file name, fit into the free memory together.
    ///
    /// # Errors
    /// [`Error::TooLittleMemory`], and as [`Bundle::load_image_encoder`].
    pub fn check_memory(&self, parts: &[&str], needed_for: &'static str) -> Result<(), Error> {
        self.check_free(self.needed_memory(parts, needed_for)?, needed_for)
    }

    /// Estimates the bytes of memory that the weights of `parts`, given by file name, take once loaded.
    ///
    /// # Errors
    /// As [`Bundle::load_image_encoder`].
    pub fn needed_memory(&self, parts: &[&str], needed_for: &'static str) -> Result<u64, Error> {
        let needed = |part: &&str| Ok(self.parse(part, needed_for)?.memory(self.arithmetic));
        parts.iter().map(needed).sum()
    }

    pub(super) fn check_memory_for(
        &self,
        graph: &Onnx,
        needed_for: &'static str,
    ) -> Result<(), Error> {
        self.check_free(graph.memory(self.arithmetic), needed_for)
    }

    fn check_free(&self, needed: u64, needed_for: &'static str) -> Result<(), Error> {
        let Some(available) = self.available_memory.or_else(AvailableMemory::now) else {
            return Ok(());
        };
        if needed > available.bytes + available.swap {
            return Err(Error::TooLittleMemory {
                path: self.files.folder().to_path_buf(),
                needed_for,
                needed,
                available: available.bytes + available.swap,
                hints: self.hints(needed_for),
            });
        }
        if needed > available.bytes {
            log::warn!(
                "{}: memory for {needed_for}: about {} MB are needed, {} MB are free and the rest is \
                 swap space: expect it to be very slow",
                self.files.folder().display(),
                needed / 1_000_000,
                available.bytes / 1_000_000
            );
        }
        Ok(())
    }

    /// The bundle's error for a graph that could not be prepared.
    pub(super) fn not_prepared(
        &self,
        source: coca_engine::Error,
        needed_for: &'static str,
    ) -> Error {
        match source {
            coca_engine::Error::Memory { .. } => Error::MemoryRefused {
                path: self.files.folder().to_path_buf(),
                needed_for,
                source: Box::new(source),
                hints: self.hints(needed_for),
            },
            source => Error::Graph(source),
        }
    }

    fn hints(&self, needed_for: &str) -> Vec<MemoryHint> {
        let smaller = match (self.config.precision, self.arithmetic) {
            (Precision::Int8, Arithmetic::F32) => MemoryHint::ComputeInInt8,
            (Precision::Int8, Arithmetic::Int8) => MemoryHint::SmallerModel,
            _ => MemoryHint::Quantize,
        };
        let labels = (needed_for == "captions").then_some(MemoryHint::LabelsOnly);
        let embedded = (!self.files.is_embedded()).then_some(MemoryHint::EmbeddedModel);
        let last = Some(MemoryHint::EndOtherPrograms);
        [Some(smaller), labels, embedded, last].into_iter().flatten().collect()
    }
}

#[cfg(all(test, feature = "pocket"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_refused_for_captions_is_told_with_ways_out() {
        let bundle = Bundle::pocket().unwrap();
        let source =
            coca_engine::Error::Memory { part: "caption_decoder.onnx".to_owned(), bytes: 4096 };
        let Error::MemoryRefused { hints, .. } = bundle.not_prepared(source, "captions") else {
            panic!("another error");
        };
        assert!(hints.contains(&MemoryHint::LabelsOnly), "{hints:?}");
    }
}
