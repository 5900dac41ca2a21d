//! The machine underneath: its cores, the memory that is left, its temperature, its files and terminal; and panics of code
//! that runs on it.
//!
//! ```
//! let cores = coca_host::physical_cores();
//! assert!(cores >= 1);
//! if let Some(memory) = coca_host::AvailableMemory::now() {
//!     println!("{cores} cores, {} MB left", memory.bytes / 1_000_000);
//! }
//! ```

#![forbid(unsafe_code)]

mod control_group;
mod memory;
mod output_file;
mod panics;
mod printable;
mod processor;
mod temperature;
mod temporary;

pub use memory::{AvailableMemory, number_behind, resident_memory};
pub use output_file::OutputFile;
pub use panics::{catch_panic, silence_caught_panics};
pub use printable::printable;
pub use processor::{cpu_features, physical_cores};
pub use temperature::hottest_sensor;
pub use temporary::{TemporaryFolder, folder_of, sync_folder};
