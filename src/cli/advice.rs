//! Ways out of an error of the library, in the words of this command.

use coca_edge::{
    Error,
    bundle::{self, MemoryHint},
    index, watch,
};

/// The way out of `error`, if the library names one.
pub(super) fn advice(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref() {
            return of_bundle(error);
        }
        if let Some(error) = cause.downcast_ref() {
            return of_index(error);
        }
        match task_error(cause)? {
            Error::Model(error) => of_bundle(error),
            Error::NotATable { .. } => {
                Some("a table is made by `coca labels build` or `coca teach`; a list in a text file is read with --labels-file".to_owned())
            }
            Error::OtherTable { .. } => {
                Some("build it again with `coca labels build` or `coca teach`".to_owned())
            }
            Error::CannotCaption { .. } => Some(
                "leave out --model for the one inside the program, which has one; classify, search, teach and score \
                 --by contrastive need none"
                    .to_owned(),
            ),
            Error::NoAnswers { .. } => Some("give them with --answers a,b,c".to_owned()),
            Error::SameLabel { .. } => {
                Some("give the pictures of both to one of them, or another name".to_owned())
            }
            Error::NamesUnused => Some("teach them with `coca teach --none DIR`".to_owned()),
            _ => None,
        }
    })
}

/// An error of the model, also where `coca watch` met it.
pub(super) fn task_error<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e Error> {
    match cause.downcast_ref() {
        Some(watch::Error::Task(error)) => Some(error),
        _ => cause.downcast_ref(),
    }
}

fn of_index(error: &index::Error) -> Option<String> {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};

    match error {
        index::Error::Io { source, .. }
            if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) =>
        {
            Some("an index of pictures that cannot be written beside stands elsewhere: --index FOLDER".to_owned())
        }
        index::Error::OtherModel { .. } => Some(
            "name the model that made it with --model, or another folder with --index".to_owned(),
        ),
        index::Error::NotAnIndex { .. } => Some("make one with `coca index PATH`".to_owned()),
        index::Error::NotAFolder { .. } => {
            Some("an index is a folder of several files: --index FOLDER".to_owned())
        }
        index::Error::ForeignFiles { .. } => Some(
            "take what is left of an index away, or name another folder with --index".to_owned(),
        ),
        index::Error::Model(Error::Model(error)) => of_bundle(error),
        _ => None,
    }
}

fn of_bundle(error: &bundle::Error) -> Option<String> {
    match error {
        bundle::Error::NotABundle { path } if path.join("open_clip_config.json").exists() => Some(
            "a checkpoint of open_clip becomes one with coca-quantize import CHECKPOINT OUT"
                .to_owned(),
        ),
        bundle::Error::NotQuantized { .. } => {
            Some("make an int8 model of it with coca-quantize int8 MODEL OUT".to_owned())
        }
        bundle::Error::TooLittleMemory { hints, .. }
        | bundle::Error::MemoryRefused { hints, .. } => {
            let ways: Vec<_> = hints.iter().filter_map(|hint| way_out(*hint)).collect();
            (!ways.is_empty()).then(|| ways.join(", or "))
        }
        _ => None,
    }
}

fn way_out(hint: MemoryHint) -> Option<&'static str> {
    match hint {
        MemoryHint::ComputeInInt8 => Some("compute in int8, without --precision f32"),
        MemoryHint::SmallerModel => Some("take a smaller model"),
        MemoryHint::Quantize => Some("make an int8 model of it with coca-quantize int8"),
        MemoryHint::LabelsOnly => Some("label only (coca watch --caption-on never)"),
        MemoryHint::EmbeddedModel => Some("leave out --model for the model inside the program"),
        MemoryHint::EndOtherPrograms => Some("end other programs"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use coca_edge::engine;

    use super::*;

    fn too_little_memory() -> bundle::Error {
        bundle::Error::TooLittleMemory {
            path: PathBuf::from("model"),
            needed_for: "captions",
            needed: 2_000_000,
            available: 1_000_000,
            hints: vec![
                MemoryHint::ComputeInInt8,
                MemoryHint::LabelsOnly,
                MemoryHint::EmbeddedModel,
            ],
        }
    }

    #[test]
    fn too_little_memory_is_answered_with_options() {
        let expected = "compute in int8, without --precision f32, or label only (coca watch --caption-on \
                        never), or leave out --model for the model inside the program";
        let task = Error::from(too_little_memory());
        assert_eq!(advice(&task.into()).as_deref(), Some(expected));
        let watch = watch::Error::from(Error::from(too_little_memory()));
        assert_eq!(advice(&watch.into()).as_deref(), Some(expected));
        let context = anyhow::Error::from(too_little_memory()).context("cat.jpg");
        assert_eq!(advice(&context).as_deref(), Some(expected));
    }

    #[test]
    fn memory_that_the_system_refuses_is_answered_with_options() {
        let source =
            engine::Error::Memory { part: "image_encoder.onnx".to_owned(), bytes: 33_554_432 };
        let refused = bundle::Error::MemoryRefused {
            path: PathBuf::from("model"),
            needed_for: "encoding pictures",
            source: Box::new(source),
            hints: vec![MemoryHint::Quantize, MemoryHint::EmbeddedModel],
        };
        let error = anyhow::Error::from(Error::from(refused));
        let expected = "make an int8 model of it with coca-quantize int8, or leave out --model for the model \
                        inside the program";
        assert_eq!(advice(&error).as_deref(), Some(expected));
        let expected = "model: too little memory for encoding pictures: image_encoder.onnx: no memory for \
                        33554432 bytes of weights";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn weights_that_are_not_quantized_are_answered_with_the_tool_that_does_it() {
        let precision = bundle::Precision::F32;
        let error = bundle::Error::NotQuantized { path: PathBuf::from("coca.json"), precision };
        assert!(advice(&error.into()).unwrap().contains("coca-quantize int8 MODEL OUT"));
    }

    #[test]
    fn an_error_without_a_way_out_stays_as_it_is() {
        assert_eq!(advice(&Error::NoLabels.into()), None);
    }
}
