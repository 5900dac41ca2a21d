//! Answering questions about images by scoring statements.
//!
//! CoCa models are trained on captions, and know no questions: so a question and each of its possible answers become a
//! statement that could be a caption ("what colour is the car?", red: "a red car"), and the statements are scored.

mod question;
mod words;

use ndarray::ArrayView1;
use question::{Form, Question};
use serde::Serialize;

use super::{
    Coca, Cohort, EncodedImage, Error, Evidence, ScoreOptions, TextScorer, softmax::softmax,
};

/// Standard deviations by which a statement's cosine must exceed those of everyday names for the answer yes.
///
/// Both thresholds were chosen with the embedded model on 1,300 photos that it was not trained on
/// (`models/train/thresholds.py`); `benches/ask/RESULTS.md` measures them on others.
const YES_THRESHOLD: f32 = 2.15;

/// The same where [`USUAL_SHARE`] is taken off.
const YES_THRESHOLD_ABOVE_USUAL: f32 = 1.35;

/// Share of a statement's usual cosine with pictures that is taken off, everyday names' being its zero: of 0, a quarter, half,
/// three quarters and all, the best for the embedded model.
const USUAL_SHARE: f32 = 0.5;

/// Nats by which the odds of yes change with a standard deviation.
const NATS_PER_DEVIATION: f32 = 2.0;

/// Share of a statement's prior that is taken off: statements of one question are much alike, and their plain likelihood is
/// the better guide. Of 0, 0.5 and 1, the best that keeps rare answers possible (`benches/ask/RESULTS.md`).
const ALPHA: f32 = 0.5;

/// The answer to a question, and the score of every possible one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The answer with the highest score.
    pub answer: String,
    /// All answers, best first; their scores add up to 1.
    pub scores: Vec<ScoredAnswer>,
}

/// A possible answer and its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredAnswer {
    /// The answer.
    pub answer: String,
    /// 0 to 1.
    pub score: f32,
}

/// A question with its possible answers, encoded once and asked of any number of images.
///
/// ```
/// # #[cfg(feature = "pocket")] {
/// use coca_model::Coca;
///
/// let coca = Coca::pocket()?;
/// let image = coca.encode_image(&image::open("../../tests/photos/cat.jpg")?)?;
/// assert_eq!(coca.asker("Is there a cat?", &[])?.ask(&image)?.answer, "yes");
/// let animals = ["cat", "dog", "horse"].map(str::to_owned);
/// assert_eq!(coca.asker("What animal is this?", &animals)?.ask(&image)?.answer, "cat");
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Asker {
    answers: Vec<String>,
    scorer: TextScorer,
    rule: Rule,
}

/// The way from statements' evidence to answers' scores.
#[derive(Clone)]
enum Rule {
    /// A statement for each answer; they compete.
    Choice,
    /// One statement, which holds if it stands out from everyday names.
    Threshold {
        cohort: Cohort,
        /// Taken off the statement's cosine.
        usual: f32,
        /// Standard deviations.
        threshold: f32,
    },
}

impl Coca {
    /// Prepares a question. Answers may be left out where the question implies them: yes and no, colours, numbers,
    /// activities, places, everyday things.
    ///
    /// Answers share the decoder's steps as far as their statements begin alike. A model without a decoder answers by
    /// cosine alone.
    ///
    /// # Errors
    /// [`Error::NoAnswers`] for a question that does not imply its answers, and as [`Coca::text_scorer`].
    pub fn asker(&self, question: &str, answers: &[String]) -> Result<Asker, Error> {
        let question = Question::parse(question, answers)
            .ok_or_else(|| Error::NoAnswers { question: question.to_owned() })?;
        let Question { answers, form } = question;
        let mut options = ScoreOptions { alpha: ALPHA, ..ScoreOptions::default() };
        let (scorer, rule) = match form {
            Form::Choice(statements) => (self.text_scorer(statements, options)?, Rule::Choice),
            Form::YesNo(statement) => {
                // In the form of the names that it is compared with.
                let statement = format!("a photo of {statement}.");
                options.by = Some(Evidence::Contrastive);
                let scorer = self.text_scorer([statement], options)?;
                let rule = self.threshold(scorer.embeddings().row(0))?;
                (scorer, rule)
            }
        };
        Ok(Asker { answers, scorer, rule })
    }

    /// The rule for a statement with the text embedding `statement` `[E]`.
    ///
    /// Some statements are near to every picture and others to none. Where the model knows what pictures are like, half of
    /// that is taken off.
    fn threshold(&self, statement: ArrayView1<'_, f32>) -> Result<Rule, Error> {
        let cohort = self.cohort()?.clone();
        let Some(background) = self.background()? else {
            return Ok(Rule::Threshold { cohort, usual: 0.0, threshold: YES_THRESHOLD });
        };
        let mean = background.mean().view();
        let usual = USUAL_SHARE * (statement.dot(&mean) - cohort.scale(mean).mean);
        Ok(Rule::Threshold { cohort, usual, threshold: YES_THRESHOLD_ABOVE_USUAL })
    }
}

impl Asker {
    /// The statements that are scored: one for each answer, or one that is true or not.
    #[must_use]
    pub fn statements(&self) -> &[String] {
        self.scorer.texts()
    }

    /// Answers the question about an image.
    ///
    /// # Errors
    /// [`Error::OtherModel`] for an image that another model encoded.
    pub fn ask(&self, image: &EncodedImage) -> Result<Answer, Error> {
        let scored = self.scorer.score(image)?;
        let logits = match &self.rule {
            Rule::Choice => scored.iter().map(|text| text.evidence).collect(),
            Rule::Threshold { cohort, usual, threshold } => {
                let z = cohort.scale(image.embedding.view()).z(scored[0].cosine - usual);
                vec![NATS_PER_DEVIATION * (z - threshold), 0.0]
            }
        };
        let scores = self.answers.iter().zip(softmax(&logits));
        let mut scores: Vec<ScoredAnswer> =
            scores.map(|(answer, score)| ScoredAnswer { answer: answer.clone(), score }).collect();
        scores.sort_by(|a, b| b.score.total_cmp(&a.score));
        #[expect(clippy::expect_used, reason = "a scorer has a text, and so a question an answer")]
        let best = scores.first().expect("a question has answers");
        Ok(Answer { answer: best.answer.clone(), scores })
    }
}
