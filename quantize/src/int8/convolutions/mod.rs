//! Static int8: convolutions of an image encoder that read 8-bit codes and give 8-bit codes, with ranges measured once.
//!
//! 1. [`region`]: the convolutions and residual sums that can.
//! 2. [`passes`]: the model runs on pictures; [`statistics`]: extremes and energies of every channel.
//! 3. [`equalization`]: quiet channels are raised as far as the clip behind them lets them.
//! 4. [`ranges`]: the model runs again; the range of every activation, by squared error. [`weights`]: scales of filters.
//! 5. [`bias`]: mean errors are subtracted from biases, one layer after the other.
//! 6. [`qdq`]: the graph with codes, which is compared with the exact one, tensor by tensor.

mod bias;
mod equalization;
mod passes;
mod qdq;
mod ranges;
mod region;
mod report;
mod statistics;
mod subgraph;
#[cfg(test)]
mod test_graph;
mod weights;

use std::path::Path;

use coca_engine::Engine;

pub(super) use self::region::Region;
pub use self::{passes::ASKED_PICTURES, report::StaticConvolutions};
use self::{passes::Passes, qdq::Codes, subgraph::Runtime};
use super::{error::Error, origin::Origin, part::Part, pictures::Pictures, progress::Progress};

/// Quantises the convolutions of `region` in `part`, with ranges measured on the pictures of `folder`.
pub(super) fn quantize(
    engine: &Engine,
    origin: &Origin,
    part: &Part,
    mut region: Region,
    folder: &Path,
    progress: &dyn Fn(Progress),
) -> Result<(Part, StaticConvolutions), Error> {
    let spec = origin.config().image.clone();
    let pictures = Pictures::new(folder, spec.clone())?;
    let runtime = Runtime::new(engine, origin, part)?;
    let passes = Passes { runtime, part, spec, pictures, progress };
    let mut seen = passes.channels(&region)?;
    let equalized = equalization::equalize(&mut region, &mut seen.channels);
    let mut codes = Codes { activations: passes.ranges(&region, &seen)?, ..Codes::default() };
    for (step, filters) in region.convolutions() {
        let input = &step.inputs[0];
        let energies: Vec<f64> = seen.channels[input].energies().collect();
        let rounded = weights::round(filters, codes.activations[input].scale, &energies);
        codes.filters.insert(step.linear.clone(), rounded);
    }
    let kept = passes.kept()?;
    let exact = passes.exact(&region)?;
    let biases = passes.correct(&mut region, &codes, &kept)?;
    let written = qdq::quantized(part.graph(), part.opset(), &region, &codes).graph;
    let tensors = passes.compare(&region, &exact, &written, &kept)?;
    let convolutions = region.convolutions().count();
    let report = StaticConvolutions {
        part: part.name.clone(),
        pictures: seen.pictures,
        convolutions,
        sums: region.steps.len() - convolutions,
        kept: region.kept.iter().map(|kept| kept.node.clone()).collect(),
        equalized,
        biases,
        tensors,
    };
    Ok((part.with_graph(written)?, report))
}
