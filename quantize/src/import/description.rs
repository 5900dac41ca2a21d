//! The files beside a checkpoint's weights, in the layout of the library that wrote them.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use coca_vision::PixelSpec;

use super::{
    error::Error,
    file_names::{
        OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS, TRANSFORMERS_CONFIG, TRANSFORMERS_PIXELS,
        TRANSFORMERS_TOKENIZER, TRANSFORMERS_WEIGHTS,
    },
    files::{Files, first},
};
use crate::{
    open_clip::{ConfigError, NAMED, OpenClipConfig},
    transformers::{self, ClipConfig, ClipTokenizer},
};

/// Largest file, which is parsed whole: a CLIP's `tokenizer.json` has some 4 MB, as a bundle's has 16 MiB at most.
const MAX_BYTES: u64 = 16 << 20;

/// A description of a model, without its weights.
pub(super) enum Description {
    /// A CoCa or CLIP of open_clip, whose tokenizer and way of evaluation are open_clip's.
    OpenClip(OpenClipConfig),
    /// A `CLIPModel` of transformers.
    Transformers { config: ClipConfig, pixels: PixelSpec, tokenizer: ClipTokenizer },
}

impl Description {
    /// Reads the description in `files`, and finds the weights. `config` takes the place of a configuration of open_clip.
    pub(super) fn find(files: &dyn Files, config: Option<&str>) -> Result<(Self, PathBuf), Error> {
        if let Some(config) = config {
            return Ok((Self::named(config)?, weights(files, &OPEN_CLIP_WEIGHTS)?));
        }
        match first(files, &[OPEN_CLIP_CONFIG, TRANSFORMERS_CONFIG])? {
            Some((OPEN_CLIP_CONFIG, path)) => {
                Ok((Self::of_open_clip(&path)?, weights(files, &OPEN_CLIP_WEIGHTS)?))
            }
            Some((_, path)) => {
                Ok((Self::of_transformers(&path, files)?, weights(files, &TRANSFORMERS_WEIGHTS)?))
            }
            None => Err(files.incomplete(format!("{OPEN_CLIP_CONFIG} or {TRANSFORMERS_CONFIG}"))),
        }
    }

    /// A configuration of open_clip: one that it has a name for, or a file.
    pub(super) fn named(name: &str) -> Result<Self, Error> {
        let path = Path::new(name);
        if path.is_file() {
            return Self::of_open_clip(path);
        }
        if !NAMED.contains(&name) {
            return Err(Error::UnknownConfig { name: name.to_owned(), names: NAMED.join(", ") });
        }
        let config = OpenClipConfig::named(name).map_err(|e| refused(path, e))?;
        Ok(Self::OpenClip(config))
    }

    fn of_open_clip(path: &Path) -> Result<Self, Error> {
        let config = OpenClipConfig::parse(&read(path)?).map_err(|e| refused(path, e))?;
        Ok(Self::OpenClip(config))
    }

    fn of_transformers(path: &Path, files: &dyn Files) -> Result<Self, Error> {
        let config = ClipConfig::parse(&read(path)?).map_err(|e| refused(path, e))?;
        let tokenizer = files.find(TRANSFORMERS_TOKENIZER)?;
        let tokenizer =
            tokenizer.ok_or_else(|| files.incomplete(TRANSFORMERS_TOKENIZER.to_owned()))?;
        let tokenizer = ClipTokenizer::parse(&read(&tokenizer)?, &config)
            .map_err(|source| Error::ClipTokenizer { path: tokenizer.clone(), source })?;
        config.check_end(tokenizer.spec.end_id).map_err(|e| refused(path, e))?;
        let [side, _] = config.architecture.vision.image;
        let pixels = match files.find(TRANSFORMERS_PIXELS)? {
            Some(path) => {
                transformers::read_pixels(&read(&path)?, side).map_err(|e| refused(&path, e))?
            }
            None => transformers::read_pixels(b"{}", side).map_err(|e| refused(path, e))?,
        };
        Ok(Self::Transformers { config, pixels, tokenizer })
    }
}

fn weights(files: &dyn Files, names: &[&str]) -> Result<PathBuf, Error> {
    match first(files, names)? {
        Some((_, path)) => Ok(path),
        None => Err(files.incomplete(names.join(" or "))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
    }
    Ok(bytes)
}

fn refused(path: &Path, source: ConfigError) -> Error {
    Error::Config { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_large_to_be_parsed_whole_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let sentence = read(&path).unwrap_err().to_string();
        let expected = "tokenizer.json: expected at most 16777216 bytes, found more";
        assert!(sentence.ends_with(expected), "{sentence}");
    }
}
