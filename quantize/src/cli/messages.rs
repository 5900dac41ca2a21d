//! Error messages, with the command-line options that library errors do not know.

use coca_quantize::{import, int8, onnx};

/// The error and its causes, each said once, with the option that the error is about.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let sentence = sentence(error);
    if let Some(error) = error.downcast_ref::<import::Error>() {
        return import_message(error, sentence);
    }
    match error.downcast_ref::<int8::Error>() {
        Some(int8::Error::Import(error)) => import_message(error, sentence),
        Some(int8::Error::Picture(_) | int8::Error::Run(_)) => format!("--calibrate: {sentence}"),
        Some(int8::Error::NoConvolutions { .. }) => {
            format!("{sentence}: leave --static out")
        }
        Some(int8::Error::Pattern { .. } | int8::Error::NoSuchLayer { .. }) => {
            format!("--keep-f32 {sentence}")
        }
        _ => sentence,
    }
}

fn import_message(error: &import::Error, sentence: String) -> String {
    match error {
        import::Error::NoConfig { path, names } => format!(
            "{}: a file of weights alone needs --config NAME: {names}, or a path to an open_clip_config.json",
            path.display()
        ),
        import::Error::UnknownConfig { .. } => format!("--config {sentence}"),
        import::Error::Part(onnx::Error::TooLargeForF16 { .. }) => {
            format!("{sentence}: use --to f32")
        }
        _ => sentence,
    }
}

/// Most errors quote their cause: it is left out where the text ends with it.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
