//! Import: a checkpoint becomes a bundle.

mod description;
mod error;
mod file_names;
mod files;
mod hub;
mod model;
mod source;
mod unwritten;

use std::path::Path;

use coca_model::bundle::Config;
pub use error::Error;
pub use hub::HubError;
use source::Source;
pub(crate) use unwritten::UnwrittenBundle;

use crate::onnx::Storage;

/// Options of an import.
#[derive(Debug, Clone)]
pub struct Options {
    /// Element type of matrices.
    pub storage: Storage,
    /// A configuration in place of the checkpoint's own: a name that open_clip knows, or a file.
    pub config: Option<String>,
    /// Whether downloads draw a progress bar.
    pub progress: bool,
}

/// Turns `checkpoint`, a folder, a weights file or a hub id, into the bundle `out`. `step` is called with the name of
/// each file before it is written.
///
/// # Errors
/// When the checkpoint is not found, broken, or of another family, or the bundle cannot be written. Nothing is left
/// behind then.
///
/// # Examples
/// ```no_run
/// use std::path::Path;
///
/// use coca_quantize::{import, onnx::Storage};
///
/// let options = import::Options { storage: Storage::F32, config: None, progress: true };
/// let id = "laion/CoCa-ViT-B-32-laion2B-s13B-b90k";
/// let config = import::import(id, Path::new("models/b32"), &options, &|file| println!("{file}"))?;
/// println!("{}, {}", config.name, config.licence);
/// # Ok::<(), import::Error>(())
/// ```
pub fn import(
    checkpoint: &str,
    out: &Path,
    options: &Options,
    step: &dyn Fn(&str),
) -> Result<Config, Error> {
    open(checkpoint, options)?.write(out, step)
}

/// Opens `checkpoint` as a bundle.
pub(crate) fn open(checkpoint: &str, options: &Options) -> Result<UnwrittenBundle, Error> {
    let source = Source::find(checkpoint, options.config.as_deref(), options.progress)?;
    UnwrittenBundle::new(&source, options.storage)
}
