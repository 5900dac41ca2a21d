//! The image encoder of the embedded model: the half of it that exceeds what one crate may weigh.

#![forbid(unsafe_code)]

/// The encoder's graph and weights, by their names in the bundle.
pub static FILES: &[(&str, &[u8])] = &[
    ("image_encoder.onnx", include_bytes!("../image_encoder.onnx")),
    ("vision.bin", include_bytes!("../vision.bin")),
];
