//! Static int8: convolutions of an image encoder that read 8-bit codes and give 8-bit codes, with ranges measured once.
//!
//! 1. [`region`]: the convolutions and residual sums that can.
//! 2. [`statistics`]: the model runs on pictures; extremes and energies of every channel.
//! 3. [`equalization`]: quiet channels are raised as far as the clip behind them lets them.
//! 4. [`ranges`]: the model runs again; the range of every activation, by squared error. [`weights`]: scales of filters.
//! 5. [`bias`]: mean errors are subtracted from biases, one layer after the other.
//! 6. [`qdq`]: the graph with codes, which is compared with the exact one, tensor by tensor.

mod bias;
mod equalization;
mod pictures;
mod qdq;
mod ranges;
mod region;
mod report;
mod statistics;
mod subgraph;
#[cfg(test)]
mod test_graph;
mod weights;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use coca_engine::{Arithmetic, Engine};
use coca_onnx::{Opset, pb::GraphProto};
use coca_vision::PixelSpec;
use ndarray::ArrayD;

pub(super) use self::region::Region;
use self::{
    bias::Correction,
    pictures::Pictures,
    qdq::Codes,
    ranges::{Histogram, Quantization},
    region::Bounds,
    statistics::Channels,
    subgraph::{Runtime, Subgraph},
};
pub use self::{pictures::ASKED_PICTURES, report::StaticConvolutions};
use super::{decibels::Noise, error::Error, origin::Origin, part::Part, progress::Progress};

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
    let runtime = Runtime::new(engine, origin, &part.name, part.rest(), part.graph())?;
    let calibration = Calibration { runtime, part, spec, pictures, progress };
    let mut seen = calibration.channels(&region)?;
    let equalized = equalization::equalize(&mut region, &mut seen.channels);
    let mut codes = Codes { activations: calibration.ranges(&region, &seen)?, ..Codes::default() };
    for (step, filters) in region.convolutions() {
        let input = &step.inputs[0];
        let energies: Vec<f64> = seen.channels[input].energies().collect();
        let rounded = weights::round(filters, codes.activations[input].scale, &energies);
        codes.filters.insert(step.linear.clone(), rounded);
    }
    let kept = calibration.pictures.kept()?;
    let exact = calibration.exact(&region)?;
    let biases = calibration.correct(&mut region, &codes, &kept)?;
    let written = qdq::quantized(part.graph(), part.opset(), &region, &codes).graph;
    let tensors = calibration.compare(&region, &exact, &written, &kept)?;
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

/// What a part's region is calibrated with.
struct Calibration<'a> {
    runtime: Runtime<'a>,
    part: &'a Part,
    spec: PixelSpec,
    pictures: Pictures<'a>,
    progress: &'a dyn Fn(Progress<'_>),
}

/// What a first pass over the pictures saw.
struct Seen {
    /// Of every activation that steps read or make.
    channels: BTreeMap<String, Channels>,
    pictures: usize,
}

impl Calibration<'_> {
    /// The name of the graph's input, and its shape.
    fn pixels(&self) -> Result<(&str, [usize; 4]), Error> {
        let graph = self.part.graph();
        let mut inputs = graph.input.iter().filter(|input| self.part.index().is_input(&input.name));
        let shape = [1, 3, self.spec.height as usize, self.spec.width as usize];
        match (inputs.next(), inputs.next()) {
            (Some(input), None) => Ok((input.name.as_str(), shape)),
            _ => Err(Error::Tensor {
                part: self.part.name.clone(),
                tensor: "its inputs".to_owned(),
                expected: "pixels alone".to_owned(),
                found: graph.input.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    fn opset(&self) -> Opset {
        self.part.opset()
    }

    /// What computes `outputs` of pixels.
    fn prepare(
        &self,
        arithmetic: Arithmetic,
        graph: GraphProto,
        outputs: &[&str],
    ) -> Result<Subgraph, Error> {
        let (pixels, shape) = self.pixels()?;
        self.runtime.prepare(arithmetic, graph, &[(pixels, &shape)], outputs)
    }

    fn in_floating_point(&self, region: &Region, outputs: &[&str]) -> Result<Subgraph, Error> {
        let graph = qdq::in_floating_point(self.part.graph(), self.opset(), region);
        self.prepare(Arithmetic::F32, graph, outputs)
    }

    /// Runs the region in floating point on all pictures, and gives each of its activations to `take`.
    fn watch(
        &self,
        region: &Region,
        doing: &str,
        mut take: impl FnMut(&str, &ArrayD<f32>),
    ) -> Result<usize, Error> {
        let (pixels, _) = self.pixels()?;
        let inputs = region.inputs.iter().map(|input| input.name.as_str());
        let results = region.steps.iter().map(|step| step.output.as_str());
        let all: BTreeSet<&str> = inputs.chain(results).collect();
        let reads_pixels = all.contains(pixels);
        let outputs: Vec<&str> = all.into_iter().filter(|&name| name != pixels).collect();
        let graph = self.in_floating_point(region, &outputs)?;
        self.pictures.each(doing, self.progress, |picture| {
            if reads_pixels {
                take(pixels, &picture);
            }
            for (name, value) in outputs.iter().zip(graph.run(vec![picture])?) {
                take(name, &value);
            }
            Ok(())
        })
    }

    fn channels(&self, region: &Region) -> Result<Seen, Error> {
        let mut channels: BTreeMap<String, Channels> = BTreeMap::new();
        let pictures = self.watch(region, "measuring channels", |name, value| {
            channels.entry(name.to_owned()).or_default().add(value);
        })?;
        Ok(Seen { channels, pictures })
    }

    /// The codes of every activation.
    fn ranges(
        &self,
        region: &Region,
        seen: &Seen,
    ) -> Result<BTreeMap<String, Quantization>, Error> {
        let histogram = |(name, channels): (&String, &Channels)| {
            let [low, high] = channels.range();
            (name.clone(), Histogram::new(low, high))
        };
        let mut histograms: BTreeMap<String, Histogram> =
            seen.channels.iter().map(histogram).collect();
        self.watch(region, "measuring ranges", |name, value| {
            if let Some(histogram) = histograms.get_mut(name) {
                histogram.add(value.iter().copied());
            }
        })?;
        let bounds: BTreeMap<&str, Bounds> =
            region.steps.iter().map(|step| (step.output.as_str(), step.bounds)).collect();
        let (pixels, _) = self.pixels()?;
        let known =
            self.are_pixels_within_one().then_some((pixels.to_owned(), Quantization::PIXELS));
        let best = histograms.iter().map(|(name, histogram)| {
            let bounds = bounds.get(name.as_str()).copied().unwrap_or(Bounds::NONE);
            (name.clone(), histogram.best(bounds))
        });
        let mut codes: BTreeMap<_, _> = best.collect();
        codes.extend(known.filter(|(name, _)| seen.channels.contains_key(name)));
        Ok(codes)
    }

    /// Whether black is -1 and white is 1.
    fn are_pixels_within_one(&self) -> bool {
        self.spec.mean == [0.5; 3] && self.spec.std == [0.5; 3]
    }

    /// The region in floating point: what its steps give.
    fn exact(&self, region: &Region) -> Result<Subgraph, Error> {
        let results: Vec<&str> = region.steps.iter().map(|step| step.output.as_str()).collect();
        self.in_floating_point(region, &results)
    }

    fn correct(
        &self,
        region: &mut Region,
        codes: &Codes,
        pictures: &[ArrayD<f32>],
    ) -> Result<usize, Error> {
        let names: Vec<&str> =
            region.convolutions().map(|(step, _)| step.linear.as_str()).collect();
        let graph = self.in_floating_point(region, &names)?;
        let mut exact: BTreeMap<String, Channels> = BTreeMap::new();
        for picture in pictures {
            for (&name, value) in names.iter().zip(graph.run(vec![picture.clone()])?) {
                exact.entry(name.to_owned()).or_default().add(&value);
            }
        }
        let (pixels, _) = self.pixels()?;
        let correction = Correction {
            runtime: &self.runtime,
            graph: self.part.graph(),
            opset: self.opset(),
            pixels,
            pictures,
            exact: &exact,
            codes,
        };
        correction.run(region, self.progress)
    }

    /// The signal-to-noise ratio of every activation in decibels, the worst first.
    fn compare(
        &self,
        region: &Region,
        exact: &Subgraph,
        written: &GraphProto,
        pictures: &[ArrayD<f32>],
    ) -> Result<Vec<(String, f64)>, Error> {
        let names: Vec<&str> = region.steps.iter().map(|step| step.output.as_str()).collect();
        let quantized = self.prepare(Arithmetic::Int8, written.clone(), &names)?;
        let mut noises = vec![Noise::default(); names.len()];
        for (done, picture) in pictures.iter().enumerate() {
            let (done, total) = (done as u64, pictures.len() as u64);
            (self.progress)(Progress { doing: "comparing", done, total });
            let found = quantized.run(vec![picture.clone()])?;
            let pairs = exact.run(vec![picture.clone()])?.into_iter().zip(found);
            for (noise, (exact, found)) in noises.iter_mut().zip(pairs) {
                for (exact, found) in exact.iter().zip(&found) {
                    noise.add(*exact, *found);
                }
            }
        }
        let measured = names.iter().zip(noises);
        let measured =
            measured.filter_map(|(&name, noise)| Some((name.to_owned(), noise.decibels()?)));
        let mut tensors: Vec<_> = measured.collect();
        tensors.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        Ok(tensors)
    }
}
