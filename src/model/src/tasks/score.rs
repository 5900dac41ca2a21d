//! Scoring given texts against images, with both families of a CoCa model: cosine and likelihood.

use coca_text::TokenIds;
use ndarray::Array2;
use serde::Serialize;

use super::{Coca, EncodedImage, Error, softmax::softmax};

/// Evidence that a text's score is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Evidence {
    /// Likelihood and cosine together.
    #[default]
    Both,
    /// The likelihood as a caption, from the decoder.
    Caption,
    /// The cosine of the embeddings.
    Contrastive,
}

/// Options of a [`TextScorer`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreOptions {
    /// The evidence; `None` is [`Evidence::Both`] where the model has a decoder, else [`Evidence::Contrastive`].
    pub by: Option<Evidence>,
    /// The share of a text's log-prior that is taken off its log-probability: 0 is the plain likelihood, which prefers
    /// common sentences; 1 is the pointwise mutual information of text and image.
    pub alpha: f32,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self { by: None, alpha: 1.0 }
    }
}

/// A text, its score and what that is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredText {
    /// The text, as it was given.
    pub text: String,
    /// Softmax over all texts of [`Self::evidence`]: 0 to 1; the scores of all texts add up to 1.
    pub score: f32,
    /// Cosine of the embeddings of text and image, -1 to 1.
    pub cosine: f32,
    /// log P(text | image), end token included, in nats; absent where the decoder was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_prob: Option<f32>,
    /// log P(text), in nats; absent where the decoder was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<f32>,
    /// Number of tokens, start and end included.
    pub tokens: usize,
    /// log P(text | image) - α · log P(text), plus logit scale · cosine; either alone where only one was asked for.
    /// Comparable between images, unlike the score.
    #[serde(skip)]
    pub evidence: f32,
}

/// Texts with their embeddings, tokens and priors, computed once and scored against any number of images.
///
/// ```
/// # #[cfg(feature = "pocket")] {
/// use coca_model::{Coca, tasks::ScoreOptions};
///
/// let coca = Coca::pocket()?;
/// let scorer = coca.text_scorer(["a cat on a sofa", "a rocket"], ScoreOptions::default())?;
/// let image = coca.encode_image(&image::open("../../tests/photos/cat.jpg")?)?;
/// let scores = scorer.score(&image)?; // in the order of the texts
/// assert!(scores[0].score > scores[1].score);
/// println!("{:?} against {:?}", scores[0].log_prob, scores[0].prior);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TextScorer {
    coca: Coca,
    texts: Vec<String>,
    ids: Vec<TokenIds>,
    /// `[texts, E]`, rows of length 1.
    embeddings: Array2<f32>,
    /// One for each text; `None` where the decoder is not asked.
    priors: Option<Vec<f32>>,
    by: Evidence,
    alpha: f32,
}

impl Coca {
    /// Encodes texts, and estimates their priors if the decoder is to be asked.
    ///
    /// # Errors
    /// [`Error::CannotCaption`] if `options` ask a decoder that the model does not have, [`Error::NoLabels`] without
    /// any text, [`Error::Text`] for one that cannot be tokenized.
    pub fn text_scorer<T: Into<String>>(
        &self,
        texts: impl IntoIterator<Item = T>,
        options: ScoreOptions,
    ) -> Result<TextScorer, Error> {
        let texts: Vec<String> = texts.into_iter().map(Into::into).collect();
        if texts.is_empty() {
            return Err(Error::NoLabels);
        }
        let by = match options.by {
            Some(by) => by,
            None if self.bundle.has_decoder() => Evidence::Both,
            None => Evidence::Contrastive,
        };
        let ids = self.tokenize(&texts)?;
        let priors = match by {
            Evidence::Contrastive => None,
            Evidence::Both | Evidence::Caption => Some(self.log_priors_of(&ids)?),
        };
        let embeddings = self.encode_texts(&texts, |_| ())?;
        Ok(TextScorer {
            coca: self.clone(),
            texts,
            ids,
            embeddings,
            priors,
            by,
            alpha: options.alpha,
        })
    }
}

impl TextScorer {
    /// The texts, in the order they were given.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The text embeddings, `[texts, E]`.
    pub(super) fn embeddings(&self) -> &Array2<f32> {
        &self.embeddings
    }

    /// The evidence that scores are made of.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        self.by
    }

    /// The scores of all texts, in their order.
    ///
    /// # Errors
    /// [`Error::OtherModel`] for an image that another model encoded.
    pub fn score(&self, image: &EncodedImage) -> Result<Vec<ScoredText>, Error> {
        image.embedding.check_model(self.coca.bundle.fingerprint())?;
        let cosines = self.embeddings.dot(&image.embedding.view());
        let log_probs = match &self.priors {
            Some(_) => Some(self.coca.log_probabilities_of(image, &self.ids)?),
            None => None,
        };
        let mut scored: Vec<ScoredText> = (0..self.texts.len())
            .map(|i| {
                let log_prob = log_probs.as_ref().map(|values| values[i]);
                let prior = self.priors.as_ref().map(|values| values[i]);
                ScoredText {
                    text: self.texts[i].clone(),
                    score: 0.0,
                    cosine: cosines[i],
                    log_prob,
                    prior,
                    tokens: self.ids[i].len(),
                    evidence: self.evidence_of(cosines[i], log_prob.zip(prior)),
                }
            })
            .collect();
        let evidence: Vec<f32> = scored.iter().map(|text| text.evidence).collect();
        for (text, score) in scored.iter_mut().zip(softmax(&evidence)) {
            text.score = score;
        }
        Ok(scored)
    }

    fn evidence_of(&self, cosine: f32, likelihood: Option<(f32, f32)>) -> f32 {
        let caption = likelihood.map_or(0.0, |(log_prob, prior)| log_prob - self.alpha * prior);
        let contrastive = self.coca.bundle.config().logit_scale * cosine;
        match self.by {
            Evidence::Both => caption + contrastive,
            Evidence::Caption => caption,
            Evidence::Contrastive => contrastive,
        }
    }
}
