//! The model inside the program: models/pocket, byte for byte.

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../models/pocket/", $name)).as_slice())),*]
    };
}

pub(super) static FILES: &[(&str, &[u8])] = files![
    "coca.json",
    "tokenizer.json",
    "image_encoder.onnx",
    "text_encoder.onnx",
    "cross_kv.onnx",
    "caption_decoder.onnx",
    "vision.bin",
    "text.bin",
    "decoder.bin",
];
