//! Whether a model fits into the memory that is free, asked before it is loaded.

use coca_engine::{Arithmetic, Onnx};
use coca_host::AvailableMemory;

use super::{Bundle, Error, Precision};

impl Bundle {
    /// Counts on `bytes` of memory and no swap rather than on what the system says is free.
    #[must_use]
    pub fn with_available_memory(mut self, bytes: u64) -> Self {
        self.available_memory = Some(AvailableMemory { bytes, swap: 0 });
        self
    }

    /// Refuses what needs more memory than is free for all of `parts`, by their files' names, at once.
    ///
    /// # Errors
    /// [`Error::TooLittleMemory`], and as [`Bundle::load_image_encoder`].
    pub fn check_memory(&self, parts: &[&str], needed_for: &'static str) -> Result<(), Error> {
        self.check_free(self.needed_memory(parts, needed_for)?, needed_for)
    }

    /// About how many bytes of memory the weights of `parts`, by their files' names, take once they are loaded.
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
                way_out: self.way_out(needed_for),
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

    fn way_out(&self, needed_for: &str) -> String {
        let smaller = match (self.config.precision, self.arithmetic) {
            (Precision::Int8, Arithmetic::F32) => "compute in int8, without --precision f32",
            (Precision::Int8, Arithmetic::Int8) => "take a smaller model",
            _ => "make an int8 model of it with coca-quantize int8",
        };
        let mut ways = vec![smaller];
        if needed_for == "captions" {
            ways.push("label only (coca watch --caption-on never)");
        }
        if !self.files.is_embedded() {
            ways.push("leave out --model for the model inside the program");
        }
        ways.push("end other programs");
        ways.join(", or ")
    }
}
