//! The small model "plain" with an image encoder that convolves.

use std::fs;

use coca_model::bundle::Bundle;
use coca_onnx::{
    attribute::{of_integer, of_integers},
    builder::{GraphBuilder, Value, f32_tensor},
};
use coca_quantize::onnx::Storage;
use serde_json::{Value as Json, json};

use crate::{replaced_file::replace, small_model::Model};

pub(crate) const ENCODER: &str = "image_encoder.onnx";

/// Numbers from -1 to 1 without a pattern.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let fraction = |i: usize| ((i + 7919 * seed) as f64 * 0.618_033_988_75).fract();
    (1..=count).map(|i| (2.0 * fraction(i) - 1.0) as f32).collect()
}

struct Encoder(GraphBuilder);

impl Encoder {
    fn weight(&mut self, name: &str, dims: &[usize], size: f32) -> Value {
        let values = numbers(dims.iter().product(), name.len() + dims[0]);
        let values: Vec<f32> = values.into_iter().map(|value| value * size).collect();
        let dims: Vec<i64> = dims.iter().map(|&size| size as i64).collect();
        self.0.weight(&f32_tensor(name, &dims, &values))
    }

    /// A convolution, and a ReLU6 if it clips.
    fn conv(
        &mut self,
        name: &str,
        x: &Value,
        [outputs, inputs, kernel]: [usize; 3],
        stride: i64,
        clips: bool,
    ) -> Value {
        let groups = if inputs == 1 { outputs } else { 1 };
        let size = 3.0 / ((inputs * kernel * kernel) as f32).sqrt();
        let weight =
            self.weight(&format!("{name}.weight"), &[outputs, inputs, kernel, kernel], size);
        let bias = self.weight(&format!("{name}.bias"), &[outputs], 0.5);
        let attributes = vec![
            of_integer("group", groups as i64),
            of_integers("pads", &[kernel as i64 / 2; 4]),
            of_integers("strides", &[stride; 2]),
        ];
        let y = self.0.node("Conv", &[x, &weight, &bias], attributes);
        let (zero, six) = (self.0.constant(0.0), self.0.constant(6.0));
        if clips { self.0.op("Clip", &[&y, &zero, &six]) } else { y }
    }
}

/// Two blocks of a convolutional encoder for the description of `bundle`.
fn encoder(bundle: &Bundle) -> coca_onnx::Model {
    let (sizes, image) = (bundle.config().dimensions, &bundle.config().image);
    let mut graph = Encoder(GraphBuilder::new("image_encoder"));
    let shape =
        ["N".into(), 3.into(), (image.height as usize).into(), (image.width as usize).into()];
    let x = graph.0.input_f32("pixel_values", &shape);
    let y = graph.conv("stem", &x, [16, 3, 3], 2, true);
    let y = graph.conv("block0.depthwise", &y, [16, 1, 3], 1, true);
    let first = graph.conv("block0.project", &y, [8, 16, 1], 1, false);
    let y = graph.conv("block1.expand", &first, [24, 8, 1], 1, true);
    let y = graph.conv("block1.depthwise", &y, [24, 1, 5], 1, true);
    let y = graph.conv("block1.project", &y, [8, 24, 1], 1, false);
    let sum = graph.0.op("Add", &[&first, &y]);
    let width = sizes.image_width;
    let y = graph.conv("head", &sum, [width, 8, 1], 1, true);
    let axes = vec![of_integers("axes", &[2, 3]), of_integer("keepdims", 0)];
    let mean = graph.0.node("ReduceMean", &[&y], axes);
    let projection = graph.weight("projection", &[width, sizes.embedding], 1.0);
    let embedding = graph.0.op("MatMul", &[&mean, &projection]);
    let embedding = graph.0.l2_normalize(&embedding);
    graph.0.output("image_embedding", &embedding, &["N".into(), sizes.embedding.into()]);
    let positions = graph.weight("positions", &[1, sizes.image_tokens, width], 1.0);
    let tokens = graph.0.unsqueeze(&mean, &[1]);
    let tokens = graph.0.op("Add", &[&tokens, &positions]);
    let shape = ["N".into(), sizes.image_tokens.into(), width.into()];
    graph.0.output("image_tokens", &tokens, &shape);
    graph.0.finish("test", "1")
}

/// A small model whose image encoder convolves; `mean` and `std` normalise its pixels.
pub(crate) fn convolutional(mean: f32, std: f32) -> Model {
    let model = Model::imported("plain", Storage::F32);
    let folder = model.path("in");
    let path = folder.join("coca.json");
    let mut config: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["image"]["mean"] = json!([mean, mean, mean]);
    config["image"]["std"] = json!([std, std, std]);
    fs::write(&path, config.to_string()).unwrap();
    let encoder = encoder(&Bundle::open(&folder).unwrap());
    replace(&folder, ENCODER, &encoder.encode());
    model
}
