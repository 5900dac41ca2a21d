//! Downloads a checkpoint from the Hugging Face hub, once.
//!
//! hf-hub 0.5's blocking interface resumes a broken download and keeps files where Python's
//! `huggingface_hub` looks for them. (1.0 needs an asynchronous runtime and a second HTTP stack for
//! the same two files.) `HF_ENDPOINT`, `HF_HOME` and the token file are honoured.

use std::path::PathBuf;

use hf_hub::{
    Cache, CacheRepo, Repo,
    api::sync::{ApiBuilder, ApiError, ApiRepo},
};

use super::{
    error::Error,
    file_names::{OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS, TRANSFORMERS_CONFIG},
    files::Files,
};

const MAX_RETRIES: usize = 5;

/// The hub's answer, where it is not the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// HTTP 404.
    #[error("it has no such model or file")]
    NotFound,
    /// The model's configuration is there, and another file is not.
    #[error("that model has no {expected}")]
    Incomplete {
        /// The files that were looked for.
        expected: String,
    },
    /// HTTP 401 or 403.
    #[error("access needs a token (huggingface-cli login)")]
    Forbidden,
    /// Every try was answered like this.
    #[error("gave up after {MAX_RETRIES} retries: {0}")]
    TooManyRetries(#[source] Box<HubError>),
    /// The network, the hub or the cache failed.
    #[error("{0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// `OWNER/NAME`.
#[derive(Debug, Clone, Copy)]
pub(super) struct HubId<'a> {
    id: &'a str,
    pub(super) owner: &'a str,
    pub(super) name: &'a str,
}

impl<'a> HubId<'a> {
    /// `None` if `id` has another form.
    pub(super) fn parse(id: &'a str) -> Option<Self> {
        let plain = |part: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
        };
        let (owner, name) = id.split_once('/')?;
        (plain(owner) && plain(name)).then_some(Self { id, owner, name })
    }

    /// The model's repository. Nothing is requested yet; `progress` lets downloads draw a bar.
    pub(super) fn repository(self, progress: bool) -> Result<HubRepository<'a>, Error> {
        let hub = ApiBuilder::from_env().with_progress(progress).with_retries(MAX_RETRIES).build();
        let model = self.id.to_owned();
        Ok(HubRepository {
            cache: Cache::from_env().repo(Repo::model(model.clone())),
            hub: hub.map_err(|e| self.failed(e))?.model(model),
            id: self,
        })
    }

    fn failed(self, error: ApiError) -> Error {
        let id = self.id.to_owned();
        match HubError::from(error) {
            source @ (HubError::NotFound | HubError::Forbidden) => Error::Hub { id, source },
            source => {
                let files = format!("{OPEN_CLIP_CONFIG} and {}", OPEN_CLIP_WEIGHTS.join(" or "));
                Error::HubUnreachable { id, files, source }
            }
        }
    }
}

/// A model on the hub, and its files in the cache. What is in the cache is not requested again.
pub(super) struct HubRepository<'a> {
    id: HubId<'a>,
    cache: CacheRepo,
    hub: ApiRepo,
}

impl Files for HubRepository<'_> {
    fn is_at_hand(&self, name: &str) -> bool {
        self.cache.get(name).is_some()
    }

    fn find(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        if let Some(path) = self.cache.get(name) {
            return Ok(Some(path));
        }
        match self.hub.download(name) {
            Ok(path) => Ok(Some(path)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(self.id.failed(error)),
        }
    }

    fn incomplete(&self, expected: String) -> Error {
        let configs = [OPEN_CLIP_CONFIG, TRANSFORMERS_CONFIG];
        let source = match configs.into_iter().any(|name| self.is_at_hand(name)) {
            true => HubError::Incomplete { expected },
            false => HubError::NotFound,
        };
        Error::Hub { id: self.id.id.to_owned(), source }
    }
}

fn is_not_found(error: &ApiError) -> bool {
    matches!(error, ApiError::RequestError(e) if matches!(**e, ureq::Error::StatusCode(404)))
}

impl From<ApiError> for HubError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::RequestError(e) => match *e {
                ureq::Error::StatusCode(404) => Self::NotFound,
                ureq::Error::StatusCode(401 | 403) => Self::Forbidden,
                other => Self::Failed(other.into()),
            },
            ApiError::TooManyRetries(last) => Self::TooManyRetries(Box::new((*last).into())),
            other => Self::Failed(other.into()),
        }
    }
}
