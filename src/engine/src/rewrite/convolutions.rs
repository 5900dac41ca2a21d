//! Convolutions, whose pictures are laid out anew: channels side by side, `[N, H, W, C]`.
//!
//! ONNX has them one behind the other. Each fused convolution is followed by a `Transpose` back to that, and
//! reads through it where the convolution in front is fused too, so that between them none is left.

use coca_kernels::{Conv2d, DepthwiseFilters};
use tract_onnx::pb::{NodeProto, TensorProto, tensor_proto::DataType};

use super::{
    Rewriter,
    constants::{Kind, Stored},
    linear::Found,
    network::{attribute, integer, integers, is_transpose, transpose},
};
use crate::fused;

/// `[N, C, H, W]` → `[N, H, W, C]`
const CHANNELS_LAST: [i64; 4] = [0, 2, 3, 1];
/// `[N, H, W, C]` → `[N, C, H, W]`
const CHANNELS_FIRST: [i64; 4] = [0, 3, 1, 2];

impl Rewriter<'_> {
    /// Fuses Conv → activation → residual: dense convolutions, and those with a filter for each channel.
    pub(super) fn fuse_convolutions(&mut self) {
        for at in self.network.all("Conv") {
            self.fuse_convolution(at);
        }
        for at in self.network.all("Transpose") {
            self.flatten_pictures(at);
        }
    }

    fn fuse_convolution(&mut self, at: usize) -> Option<()> {
        let conv = self.network.node(at)?;
        let stored = self.stored(conv.input.get(1)?)?;
        let [outputs, channels, height, width] = stored.dims[..] else { return None };
        let window = window(conv, [height, width])?;
        let groups = usize::try_from(integer(conv, "group", 1)).ok()?;
        let bias = self.optional_numbers(conv, 2)?;
        bias.as_ref().is_none_or(|bias| bias.len() == outputs).then_some(())?;
        let input = conv.input.first()?.clone();
        let mut found = Found::new(at, conv.output.first()?, bias);
        self.follow_activation(&mut found);
        match (groups, channels) {
            (1, _) => {
                let weights = channels_last(stored, window)?.pack(self.engine, true, self.int8)?;
                if self.adds_picture(&found) {
                    self.follow_residual(&mut found);
                }
                let mut inputs = vec![self.channels_last(&input)];
                inputs.extend(found.residual.as_ref().map(|residual| self.channels_last(residual)));
                let linear = found.linear(None, weights);
                let operator = fused::Convolution { linear, window };
                self.put_convolution(found, inputs, outputs, operator);
            }
            (groups, 1) if groups == outputs => {
                let (values, bias) = (stored.to_f32(), found.bias.as_deref());
                let memory = self.engine.weight_memory();
                let filters = DepthwiseFilters::pack(memory, &values, bias, outputs, window)?;
                let activation = found.activation;
                let operator = fused::DepthwiseConvolution { filters, activation };
                let inputs = vec![self.channels_last(&input)];
                self.put_convolution(found, inputs, outputs, operator);
            }
            _ => return None,
        }
        Some(())
    }

    /// Whether the sum that reads `found` alone adds a picture that a fused convolution made.
    fn adds_picture(&self, found: &Found) -> bool {
        let other = self.residual(found).and_then(|(_, other, _)| self.network.maker(other));
        other.is_some_and(|maker| is_transpose(maker, &CHANNELS_FIRST))
    }

    /// Puts `operator` where `found` ends, and its picture as ONNX has it behind.
    fn put_convolution(
        &mut self,
        found: Found,
        inputs: Vec<String>,
        channels: usize,
        operator: impl fused::FusedOperator + 'static,
    ) {
        let picture = format!("{} channels last", found.output);
        self.network.replace(found.at, inputs, picture.clone(), operator);
        self.network.add(transpose(&picture, &found.output, &CHANNELS_FIRST));
        self.pictures.insert(picture, channels);
    }

    /// The name of a picture `[N, C, H, W]` with its channels last.
    fn channels_last(&mut self, name: &str) -> String {
        let maker = self.network.maker(name).filter(|node| is_transpose(node, &CHANNELS_FIRST));
        if let Some(picture) = maker.and_then(|node| node.input.first()) {
            return picture.clone();
        }
        let picture = format!("{name} channels last");
        if self.network.maker(&picture).is_none() {
            self.network.add(transpose(name, &picture, &CHANNELS_LAST));
        }
        picture
    }

    /// Replaces Transpose `[N, C, H, W]` → Reshape `[N, C, cells]` → Transpose `[N, cells, C]` by one Reshape.
    fn flatten_pictures(&mut self, at: usize) -> Option<()> {
        let last = self.network.node(at).filter(|node| is_transpose(node, &[0, 2, 1]))?;
        let reshape = self.network.made_by("Reshape", last.input.first()?)?;
        let shape = self.integers(reshape.input.get(1)?)?;
        let first = self.network.maker(reshape.input.first()?)?;
        is_transpose(first, &CHANNELS_FIRST).then_some(())?;
        let picture = first.input.first()?.clone();
        let &channels = self.pictures.get(&picture)?;
        (shape.len() == 3 && shape[1] == channels as i64).then_some(())?;
        let output = last.output.first()?.clone();
        let cells = format!("{output} shape");
        self.network.add_initializer(TensorProto {
            name: cells.clone(),
            dims: vec![3],
            data_type: DataType::Int64 as i32,
            int64_data: vec![0, -1, channels as i64],
            ..TensorProto::default()
        });
        self.network.exchange(
            at,
            NodeProto {
                op_type: "Reshape".to_owned(),
                input: vec![picture, cells],
                output: vec![output],
                ..NodeProto::default()
            },
        );
        Some(())
    }
}

/// How the filter of a `Conv` moves; `None` if its places have gaps or its padding is not written down.
fn window(conv: &NodeProto, size: [usize; 2]) -> Option<Conv2d> {
    let explicit = attribute(conv, "auto_pad").is_none_or(|a| a.s == b"NOTSET");
    let dense = integers(conv, "dilations").is_none_or(|d| d.iter().all(|&step| step == 1));
    (explicit && dense).then_some(())?;
    let numbers = |name: &str, default: Vec<usize>| match integers(conv, name) {
        Some(found) => found.iter().map(|&n| usize::try_from(n).ok()).collect(),
        None => Some(default),
    };
    let [down, right] = numbers("strides", vec![1; 2])?[..] else { return None };
    let [top, left, bottom, end] = numbers("pads", vec![0; 4])?[..] else { return None };
    (down > 0 && right > 0).then_some(Conv2d {
        size,
        strides: [down, right],
        pads_begin: [top, left],
        pads_end: [bottom, end],
    })
}

/// Filters `[outputs, channels, lines, columns]` as a matrix `[outputs, lines × columns × channels]`.
fn channels_last(stored: Stored<'_>, window: Conv2d) -> Option<Stored<'_>> {
    let (outputs, channels) = (stored.dims[0], stored.dims[1]);
    let places = window.size[0] * window.size[1];
    let size = match &stored.kind {
        Kind::F32 => 4,
        Kind::F16 => 2,
        Kind::Int8 { axis: 0, .. } => 1,
        Kind::Int8 { .. } => return None,
    };
    let mut bytes = Vec::with_capacity(stored.bytes.len());
    for filter in stored.bytes.chunks_exact((channels * places * size).max(1)) {
        for (place, channel) in (0..places).flat_map(|p| (0..channels).map(move |c| (p, c))) {
            bytes.extend_from_slice(&filter[(channel * places + place) * size..][..size]);
        }
    }
    Some(Stored { bytes: bytes.into(), dims: vec![outputs, channels * places], ..stored })
}
