//! The files of the embedded model, a small CoCa: see the [card](https://crates.io/crates/coca-pocket).
//!
//! ```
//! let json = coca_pocket::file("coca.json").expect("every bundle has one");
//! assert!(json.starts_with(b"{"));
//! assert!(coca_pocket::file("vision.bin").is_some());
//! ```

#![forbid(unsafe_code)]

/// The files of the bundle that stand in this crate, by name.
static FILES: &[(&str, &[u8])] = &[
    ("coca.json", include_bytes!("../coca.json")),
    ("tokenizer.json", include_bytes!("../tokenizer.json")),
    ("text_encoder.onnx", include_bytes!("../text_encoder.onnx")),
    ("cross_kv.onnx", include_bytes!("../cross_kv.onnx")),
    ("caption_decoder.onnx", include_bytes!("../caption_decoder.onnx")),
    ("background.bin", include_bytes!("../background.bin")),
    ("text.bin", include_bytes!("../text.bin")),
    ("decoder.bin", include_bytes!("../decoder.bin")),
];

/// The label table of the built-in names of everyday things.
pub static EVERYDAY_TABLE: &[u8] = include_bytes!("../everyday.table");

/// The bytes of a file of the bundle, the image encoder's included.
#[must_use]
pub fn file(name: &str) -> Option<&'static [u8]> {
    let mut files = FILES.iter().chain(coca_pocket_vision::FILES);
    files.find(|(file, _)| *file == name).map(|(_, bytes)| *bytes)
}
