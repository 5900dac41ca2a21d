//! Fetches a checkpoint from the Hugging Face hub, once.
//!
//! hf-hub 0.5's blocking interface resumes a broken download and keeps files where Python's
//! `huggingface_hub` looks for them. (1.0 needs an asynchronous runtime and a second HTTP stack for
//! the same two files.) `HF_ENDPOINT`, `HF_HOME` and the token file are honoured.

use std::path::PathBuf;

use hf_hub::{
    Cache, Repo,
    api::sync::{ApiBuilder, ApiError, ApiRepo},
};

use super::{
    Error,
    source::{CONFIG, WEIGHTS},
};

const RETRIES: usize = 5;

/// A checkpoint's files in the cache.
pub(super) struct Files {
    pub(super) config: Option<PathBuf>,
    pub(super) weights: PathBuf,
}

/// Whether `name` has the form `OWNER/NAME`.
pub(super) fn is_id(name: &str) -> bool {
    let plain = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
    };
    name.split_once('/').is_some_and(|(owner, model)| plain(owner) && plain(model))
}

/// Finds the files of `id` in the cache, or downloads them. With all of them there the network is not used.
pub(super) fn fetch(id: &str, with_config: bool, progress: bool) -> Result<Files, Error> {
    let failed = |e: ApiError| Error::Hub { id: id.to_owned(), reason: reason(&e) };
    let cached = Cache::from_env().repo(Repo::model(id.to_owned()));
    let hub = ApiBuilder::from_env().with_progress(progress).with_retries(RETRIES).build();
    let hub = hub.map_err(failed)?.model(id.to_owned());
    let config = match (with_config, cached.get(CONFIG)) {
        (false, _) => None,
        (true, Some(path)) => Some(path),
        (true, None) => Some(hub.download(CONFIG).map_err(failed)?),
    };
    let weights = match WEIGHTS.iter().find_map(|name| cached.get(name)) {
        Some(path) => path,
        None => download_first(&hub, &WEIGHTS).map_err(failed)?,
    };
    Ok(Files { config, weights })
}

/// Downloads the first of `names` that the hub has.
fn download_first(hub: &ApiRepo, names: &[&str]) -> Result<PathBuf, ApiError> {
    let mut result = Err(ApiError::MissingHeader("files"));
    for name in names {
        result = hub.download(name);
        match &result {
            Err(ApiError::RequestError(e)) if matches!(**e, ureq::Error::StatusCode(404)) => {}
            _ => break,
        }
    }
    result
}

fn reason(error: &ApiError) -> String {
    match error {
        ApiError::RequestError(e) => match **e {
            ureq::Error::StatusCode(404) => "it has no such model or file".to_owned(),
            ureq::Error::StatusCode(401 | 403) => {
                "access needs a token (huggingface-cli login)".to_owned()
            }
            ref other => other.to_string(),
        },
        ApiError::TooManyRetries(last) => {
            format!("gave up after {RETRIES} retries: {}", reason(last))
        }
        other => other.to_string(),
    }
}
