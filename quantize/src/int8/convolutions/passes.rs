//! Passes over the pictures: the region runs in floating point and in codes, and is measured.

use std::collections::{BTreeMap, BTreeSet};

use coca_onnx::{Opset, pb::GraphProto};
use coca_vision::PixelSpec;
use ndarray::ArrayD;

use super::{
    super::{decibels::Noise, error::Error, part::Part, pictures::Pictures, progress::Progress},
    bias::Correction,
    qdq::{self, Codes},
    ranges::{Histogram, Quantization},
    region::{Bounds, Region},
    statistics::Channels,
    subgraph::{Runtime, Subgraph},
};

/// Pictures that a calibration asks for: with fewer, ranges may not hold for others.
pub const ASKED_PICTURES: usize = 128;
/// Pictures that are taken from a larger folder.
const MAX_PICTURES: usize = 256;
/// Pictures that are kept in memory, for passes over single layers.
const MAX_KEPT: usize = 32;

/// Passes that measure the region of a part.
pub(super) struct Passes<'a> {
    pub(super) runtime: Runtime<'a>,
    pub(super) part: &'a Part,
    pub(super) spec: PixelSpec,
    pub(super) pictures: Pictures<'a>,
    pub(super) progress: &'a dyn Fn(Progress<'_>),
}

/// Results of a first pass over the pictures.
pub(super) struct Seen {
    /// Of every activation that steps read or make.
    pub(super) channels: BTreeMap<String, Channels>,
    pub(super) pictures: usize,
}

impl Passes<'_> {
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

    /// The piece of `graph` that computes `outputs` of pixels.
    fn prepare(&self, graph: GraphProto, outputs: &[&str]) -> Result<Subgraph, Error> {
        let (pixels, shape) = self.pixels()?;
        self.runtime.prepare(graph, &[(pixels, &shape)], outputs)
    }

    fn in_floating_point(&self, region: &Region, outputs: &[&str]) -> Result<Subgraph, Error> {
        let graph = qdq::in_floating_point(self.part.graph(), self.opset(), region);
        self.prepare(graph, outputs)
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
        let all: BTreeSet<&str> = inputs.chain(region.outputs()).collect();
        let reads_pixels = all.contains(pixels);
        let outputs: Vec<&str> = all.into_iter().filter(|&name| name != pixels).collect();
        let graph = self.in_floating_point(region, &outputs)?;
        self.pictures.each(MAX_PICTURES, |picture, done, total| {
            (self.progress)(Progress { doing, done: done as u64, total: total as u64 });
            if reads_pixels {
                take(pixels, &picture);
            }
            for (name, value) in outputs.iter().zip(graph.run(vec![picture])?) {
                take(name, &value);
            }
            Ok(())
        })
    }

    /// Some of the pictures.
    pub(super) fn kept(&self) -> Result<Vec<ArrayD<f32>>, Error> {
        let mut kept = Vec::new();
        self.pictures.each(MAX_KEPT, |picture, _, _| {
            kept.push(picture);
            Ok(())
        })?;
        Ok(kept)
    }

    /// Extremes and energies of every activation's channels.
    pub(super) fn channels(&self, region: &Region) -> Result<Seen, Error> {
        let mut channels: BTreeMap<String, Channels> = BTreeMap::new();
        let pictures = self.watch(region, "measuring channels", |name, value| {
            channels.entry(name.to_owned()).or_default().add(value);
        })?;
        Ok(Seen { channels, pictures })
    }

    /// The codes of every activation.
    pub(super) fn ranges(
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

    /// The region in floating point, with the outputs of its steps.
    pub(super) fn exact(&self, region: &Region) -> Result<Subgraph, Error> {
        self.in_floating_point(region, &region.outputs())
    }

    /// Corrects the biases of `region` for these pictures; gives their number.
    pub(super) fn correct(
        &self,
        region: &mut Region,
        codes: &Codes,
        pictures: &[ArrayD<f32>],
    ) -> Result<usize, Error> {
        let names: Vec<&str> =
            region.convolutions().map(|(step, _)| step.linear.as_str()).collect();
        let graph = self.in_floating_point(region, &names)?;
        let exact = Channels::of_outputs(&graph, &names, pictures)?;
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
    pub(super) fn compare(
        &self,
        region: &Region,
        exact: &Subgraph,
        written: &GraphProto,
        pictures: &[ArrayD<f32>],
    ) -> Result<Vec<(String, f64)>, Error> {
        let names = region.outputs();
        let (pixels, shape) = self.pixels()?;
        let as_written = self.runtime.as_written()?;
        let quantized = as_written.prepare(written.clone(), &[(pixels, &shape)], &names)?;
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
