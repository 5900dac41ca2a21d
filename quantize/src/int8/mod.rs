//! Quantisation: a bundle's weights become 8-bit integers, a quarter of the size of 32-bit floating point.
//!
//! Every output channel of a linear layer or convolution has its own scale, and so has every row of the token
//! embedding; there are no zero points. [`Report::left`] lists the weights that stay, with the reasons.
//!
//! Linear layers round what they read as they run. The convolutions of an image encoder are quantised statically where
//! there are pictures to measure on: activations are 8-bit codes from one layer to the next ([`StaticConvolutions`]).

mod calibrate;
mod convolutions;
mod decibels;
mod error;
mod keep;
mod names;
mod origin;
mod part;
mod pictures;
mod plan;
mod progress;
mod report;
mod rewrite;
pub mod rounding;
mod source;
mod store;
mod uses;
mod weight;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use calibrate::{Calibrated, FLOOR, MAX_PICTURES};
use coca_engine::Engine;
use coca_model::bundle::{Bundle, Config, Precision};
pub use convolutions::{ASKED_PICTURES, StaticConvolutions};
pub use error::Error;
pub use progress::Progress;
pub use report::{Left, PartReport, Report};
pub use uses::Reason;

use self::{
    calibrate::Model,
    convolutions::Region,
    keep::Keep,
    origin::Origin,
    part::{Part, Rewritable},
    plan::{Plan, Planned},
    source::SourceFiles,
    store::Store,
};
use crate::{bundle_writer::BundleWriter, import};

/// The part whose convolutions are quantised statically: it reads nothing but pixels.
const IMAGE_ENCODER: &str = "image_encoder.onnx";

/// Options of quantising.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Weights that stay as they are: names with `*`, `?` and `[abc]` in them. Convolutions may be named by their nodes
    /// too, or by a piece of the node's name.
    pub keep_f32: Vec<String>,
    /// A folder of images. The image encoder's convolutions are quantised statically by the ranges that activations have
    /// for [`ASKED_PICTURES`] of them or more; the rest of the model runs on at most [`MAX_PICTURES`], and the inputs of
    /// its layers decide which outliers are moved into weights and which layers stay.
    pub calibrate: Option<PathBuf>,
    /// Refuse a model without convolutions to quantise statically, and to go on without images.
    pub require_static: bool,
}

/// Stores the bundle in the folder `bundle` as the bundle `out` with 8-bit weights. `progress` is called as the work
/// goes on.
///
/// # Errors
/// When `bundle` is no bundle, damaged or int8 already, when a pattern of [`Options::keep_f32`] matches no layer, or
/// when `out` cannot be written. Nothing is left behind then.
///
/// # Examples
/// ```no_run
/// use std::path::Path;
///
/// use coca_quantize::int8;
///
/// let options = int8::Options { calibrate: Some("photos".into()), ..int8::Options::default() };
/// let (from, to) = (Path::new("models/b32"), Path::new("models/b32-int8"));
/// let report = int8::int8(from, to, &options, &|progress| println!("{}", progress.doing))?;
/// println!("{report}");
/// # Ok::<(), int8::Error>(())
/// ```
pub fn int8(
    bundle: &Path,
    out: &Path,
    options: &Options,
    progress: &dyn Fn(Progress),
) -> Result<Report, Error> {
    let keep = Keep::parse(&options.keep_f32)?;
    let origin = Origin::Bundle(Bundle::open(bundle)?);
    if is_same_folder(bundle, out) {
        return Err(Error::InPlace { path: out.to_owned() });
    }
    quantize(&origin, bundle, out, &keep, options, progress)
}

/// Imports `checkpoint`, a folder, a weights file or a hub id, as the bundle `out` with 8-bit weights: what
/// [`import::import`] and [`int8`] make of it one after the other, without the larger bundle between them.
///
/// # Errors
/// As those two.
pub fn import(
    checkpoint: &str,
    out: &Path,
    import: &import::Options,
    options: &Options,
    progress: &dyn Fn(Progress),
) -> Result<Report, Error> {
    let keep = Keep::parse(&options.keep_f32)?;
    let origin = Origin::Checkpoint(import::open(checkpoint, import)?);
    quantize(&origin, Path::new(checkpoint), out, &keep, options, progress)
}

/// `named` is the origin's path, for errors.
fn quantize(
    origin: &Origin,
    named: &Path,
    out: &Path,
    keep: &Keep,
    options: &Options,
    progress: &dyn Fn(Progress),
) -> Result<Report, Error> {
    let mut files = SourceFiles::new(origin);
    let (mut parts, before) = read_parts(origin, &mut files)?;
    let encoder = parts.iter().position(|part| part.name == IMAGE_ENCODER);
    let encoder = encoder.filter(|_| options.calibrate.is_some());
    let region = encoder.map(|at| Region::find(parts[at].index(), &files, keep));
    let mut plan = Plan::of(&parts, keep, region.as_ref().map(|region| (IMAGE_ENCODER, region)))?;
    let region = region.filter(|region| !region.is_empty());
    check_static(region.as_ref(), options, named)?;
    if region.is_none() {
        check_layers(&plan, named)?;
    }
    // Before the images are run: a target that cannot be written should not cost minutes.
    let mut store = Store::new(BundleWriter::create(out)?);
    let (mut calibrated, mut convolutions) = (None, None);
    if let Some(pictures) = &options.calibrate {
        let engine = Engine::new().map_err(coca_model::Error::from)?;
        if let Some((at, region)) = encoder.zip(region) {
            let (part, report) =
                convolutions::quantize(&engine, origin, &parts[at], region, pictures, progress)?;
            convolutions = Some(report);
            parts[at] = part;
        }
        let model = Model { engine: &engine, origin, parts: &parts, files: &files };
        if plan.layers() > 0 {
            calibrated = Some(calibrate::calibrate(&model, &mut plan, pictures, progress)?);
        }
    }
    let parts = rewrite_parts(parts, &plan, &files, &mut store, progress)?;
    let mut writer = store.finish()?;
    let mut sizes = BTreeMap::new();
    for (part, before) in parts.into_iter().zip(before) {
        let name = part.name.clone();
        let weights = report::weight_bytes(&name, &part.graph)?;
        let graph = part.encode();
        writer.add_bytes(&name, &graph)?;
        sizes.insert(name, [before, weights + graph.len() as u64]);
    }
    copy_others(origin, &files, &mut writer)?;
    let config = Config { precision: Precision::Int8, ..origin.config().clone() };
    let config = writer.finish(config)?;
    let written = config.files.values().map(|file| file.bytes).sum();
    Ok(Report::new(&plan, &sizes, [origin.bytes(), written], calibrated, convolutions))
}

/// Whether both paths lead to one folder. One that does not exist yet is no other's.
fn is_same_folder(a: &Path, b: &Path) -> bool {
    a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b)
}

/// Every part of the model, and for each the bytes of its graph and weights.
fn read_parts(origin: &Origin, files: &mut SourceFiles) -> Result<(Vec<Part>, Vec<u64>), Error> {
    let (mut parts, mut sizes) = (Vec::new(), Vec::new());
    for name in origin.files().into_iter().filter(|name| name.ends_with(".onnx")) {
        let bytes = origin.read(&name)?;
        let part = Part::parse(&name, &bytes)?;
        files.open(&name, part.graph().initializer.iter())?;
        sizes.push(bytes.len() as u64 + report::weight_bytes(&name, part.graph())?);
        parts.push(part);
    }
    Ok((parts, sizes))
}

/// Refuses to go on without what [`Options::require_static`] asks for.
fn check_static(region: Option<&Region>, options: &Options, bundle: &Path) -> Result<(), Error> {
    let path = bundle.to_owned();
    match (options.require_static, &options.calibrate, region) {
        (true, None, _) => Err(Error::NoPictures),
        (true, Some(_), None) => Err(Error::NoConvolutions { path }),
        _ => Ok(()),
    }
}

fn check_layers(plan: &Plan, bundle: &Path) -> Result<(), Error> {
    if plan.layers() > 0 {
        return Ok(());
    }
    let path = bundle.to_owned();
    let mut reasons: Vec<&Reason> = plan.weights.values().filter_map(Planned::reason).collect();
    reasons.sort_by_key(|reason| **reason != Reason::Asked);
    match reasons.first() {
        Some(reason) if **reason == Reason::Asked => {
            Err(Error::NothingToDo { path, reason: reason.to_string() })
        }
        _ if plan.int8_before > 0 => Err(Error::AlreadyInt8 { path }),
        Some(reason) => Err(Error::NothingToDo { path, reason: reason.to_string() }),
        None => Err(Error::NothingToDo { path, reason: "its parts have no weights".to_owned() }),
    }
}

fn rewrite_parts(
    parts: Vec<Part>,
    plan: &Plan,
    files: &SourceFiles,
    store: &mut Store,
    progress: &dyn Fn(Progress),
) -> Result<Vec<Rewritable>, Error> {
    let total = parts.iter().map(|part| 4 * part.elements() as u64).sum();
    let (mut done, mut rewritten) = (0, Vec::new());
    for part in parts {
        let mut part = part.into_rewritable();
        let doing = part.name.clone();
        rewrite::rewrite(&mut part, plan, files, store, &mut |bytes| {
            done += bytes;
            progress(Progress { doing: &doing, done, total });
        })?;
        rewritten.push(part);
    }
    Ok(rewritten)
}

/// Copies the tokenizer and all other files of the bundle that are neither graphs nor weights.
fn copy_others(
    origin: &Origin,
    files: &SourceFiles,
    writer: &mut BundleWriter,
) -> Result<(), Error> {
    let others = origin.files().into_iter();
    for name in others.filter(|name| !name.ends_with(".onnx") && !files.contains(name)) {
        writer.add_bytes(&name, &origin.read(&name)?)?;
    }
    Ok(())
}
