//! `coca-quantize int8`: a bundle's weights become 8-bit integers, a quarter of 32-bit numbers.
//!
//! Every output channel of a linear layer or convolution has a scale of its own, and so has every row of the token
//! embedding; there are no zero points. What stays is listed with the reason.

mod calibrate;
mod error;
mod keep;
mod part;
mod plan;
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

pub use calibrate::{Calibrated, FLOOR, MOST_PICTURES};
use coca_engine::Engine;
use coca_model::bundle::{Bundle, Config, Precision};
pub use error::Error;
pub use report::{Left, PartReport, Report};
pub use uses::Reason;

use self::{
    calibrate::Model,
    keep::Keep,
    part::Part,
    plan::{Plan, Planned},
    source::SourceFiles,
    store::Store,
};
use crate::bundle_writer::BundleWriter;

/// What the user asks for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Weights that stay as they are: names with `*`, `?` and `[abc]` in them.
    pub keep_f32: Vec<String>,
    /// A folder of pictures: the model runs on at most [`MOST_PICTURES`] of them, and what its layers read decides
    /// which outliers are moved into weights and which layers stay.
    pub calibrate: Option<PathBuf>,
}

/// How far the work is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// What is done now.
    pub doing: &'a str,
    /// Units of it that are done.
    pub done: u64,
    /// All units.
    pub total: u64,
}

/// Stores the bundle in the folder `bundle` as the bundle `out` with 8-bit weights; `progress` hears how far it is.
///
/// # Errors
/// When `bundle` is no bundle, damaged or int8 already, when a pattern of [`Options::keep_f32`] fits no layer, or when
/// `out` cannot be written. Nothing is left behind then.
pub fn int8(
    bundle: &Path,
    out: &Path,
    options: &Options,
    progress: &dyn Fn(Progress),
) -> Result<Report, Error> {
    let keep = Keep::parse(&options.keep_f32)?;
    let source = Bundle::open(bundle)?;
    if is_same_folder(bundle, out) {
        return Err(Error::InPlace { path: out.to_owned() });
    }
    let mut files = SourceFiles::new(&source);
    let (parts, before) = read_parts(&source, &mut files)?;
    let mut plan = Plan::of(&parts, &keep)?;
    check_layers(&plan, bundle)?;
    // Before the pictures are run: a target that cannot be written should not cost minutes.
    let mut store = Store::new(BundleWriter::create(out)?);
    let calibrated = match &options.calibrate {
        Some(pictures) => {
            let engine = Engine::new().map_err(coca_model::Error::from)?;
            let model = Model { engine: &engine, bundle: &source, parts: &parts, files: &files };
            Some(calibrate::calibrate(&model, &mut plan, pictures, progress)?)
        }
        None => None,
    };
    let parts = rewrite_parts(parts, &plan, &files, &mut store, progress)?;
    let mut writer = store.finish()?;
    let mut after = BTreeMap::new();
    for part in parts {
        let name = part.name.clone();
        let weights = report::bytes_of(&part, 0)?;
        let graph = part.encode();
        writer.add_bytes(&name, &graph)?;
        after.insert(name, weights + graph.len() as u64);
    }
    copy_others(&source, &files, &mut writer)?;
    let config = Config { precision: Precision::Int8, ..source.config().clone() };
    let config = writer.finish(config)?;
    Ok(Report::new(&plan, &before, &after, [source.config(), &config], calibrated))
}

fn is_same_folder(a: &Path, b: &Path) -> bool {
    a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b)
}

/// Every part of the bundle, and the bytes of its graph and weights.
fn read_parts(
    bundle: &Bundle,
    files: &mut SourceFiles,
) -> Result<(Vec<Part>, BTreeMap<String, u64>), Error> {
    let (mut parts, mut sizes) = (Vec::new(), BTreeMap::new());
    for name in bundle.config().files.keys().filter(|name| name.ends_with(".onnx")) {
        let bytes = bundle.read(name, "quantising")?;
        let part = Part::parse(name, (*bytes).as_ref())?;
        files.open(name, part.graph.initializer.iter())?;
        sizes.insert(name.clone(), report::bytes_of(&part, (*bytes).as_ref().len())?);
        parts.push(part);
    }
    Ok((parts, sizes))
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
    mut parts: Vec<Part>,
    plan: &Plan,
    files: &SourceFiles,
    store: &mut Store,
    progress: &dyn Fn(Progress),
) -> Result<Vec<Part>, Error> {
    let total = parts.iter().map(|part| 4 * part.numbers() as u64).sum();
    let mut done = 0;
    for part in &mut parts {
        let doing = part.name.clone();
        rewrite::rewrite(part, plan, files, store, &mut |bytes| {
            done += bytes;
            progress(Progress { doing: &doing, done, total });
        })?;
    }
    Ok(parts)
}

/// The tokenizer, and whatever else belongs to the bundle.
fn copy_others(
    bundle: &Bundle,
    files: &SourceFiles,
    writer: &mut BundleWriter,
) -> Result<(), Error> {
    let others = bundle.config().files.keys();
    for name in others.filter(|name| !name.ends_with(".onnx") && !files.contains(name)) {
        let bytes = bundle.read(name, "quantising")?;
        writer.add_bytes(name, (*bytes).as_ref())?;
    }
    Ok(())
}
