//! Timing the parts of a model on made-up input.

use std::time::{Duration, Instant};

use coca_vision::Pixels;
use ndarray::{Array2, ArrayD, IxDyn};

use super::{Coca, Error};
use crate::generate::{CaptionOptions, StepDecoder};

/// A part of the work, with what its cost depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// One picture through the image encoder.
    Image,
    /// One label of this many tokens, start and end included, through the text encoder.
    Text {
        /// 2 to the context length.
        tokens: usize,
    },
    /// The cross-attention keys and values of one picture.
    CrossKv,
    /// One cached step of the decoder.
    Step {
        /// Rows of the batch, at least 1.
        beams: usize,
        /// Tokens in the cache, at least 1.
        past: usize,
    },
    /// The whole default search, from an encoded picture's pixels to token ids.
    Caption {
        /// Total length, start token included.
        max_tokens: usize,
        /// Beams of the search.
        beams: usize,
    },
}

/// How long a part took, run after run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Each run's time, shortest first; never empty.
    sorted: Vec<Duration>,
}

impl Timing {
    /// The time that half of the runs stayed below.
    #[must_use]
    pub fn median(&self) -> Duration {
        self.sorted.get(self.sorted.len() / 2).copied().unwrap_or_default()
    }

    /// The shortest time.
    #[must_use]
    pub fn min(&self) -> Duration {
        self.sorted.first().copied().unwrap_or_default()
    }

    /// How many runs were timed.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.sorted.len()
    }

    /// Runs `work` twice unmeasured, then until `budget` is spent, five times at least; what it takes is not timed.
    fn measure<T>(
        budget: Duration,
        mut given: impl FnMut() -> T,
        mut work: impl FnMut(T) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        work(given())?;
        work(given())?;
        let start = Instant::now();
        let mut sorted = Vec::new();
        while start.elapsed() < budget || sorted.len() < 5 {
            let given = given();
            let run = Instant::now();
            work(given)?;
            sorted.push(run.elapsed());
        }
        sorted.sort_unstable();
        Ok(Self { sorted })
    }
}

impl Coca {
    /// Times one part of the model on made-up input for about `budget`.
    ///
    /// # Errors
    /// When the part cannot be loaded or the model has no decoder.
    pub fn time(&self, part: Part, budget: Duration) -> Result<Timing, Error> {
        match part {
            Part::Image => {
                let pixels = self.made_up_pixels()?;
                Timing::measure(
                    budget,
                    || pixels.clone(),
                    |pixels| self.encode_pixels(pixels).map(drop),
                )
            }
            Part::Text { tokens } => self.time_text(tokens, budget),
            Part::CrossKv => self.time_cross_kv(budget),
            Part::Step { beams, past } => self.time_step(beams, past, budget),
            Part::Caption { max_tokens, beams } => {
                let pixels = self.made_up_pixels()?;
                let options = self.beam_options(beams)?.max_tokens(max_tokens);
                Timing::measure(
                    budget,
                    || pixels.clone(),
                    |pixels| self.caption(&self.encode_pixels(pixels)?, &options).map(drop),
                )
            }
        }
    }

    fn time_text(&self, tokens: usize, budget: Duration) -> Result<Timing, Error> {
        let spec = &self.bundle().config().text;
        let ids = Array2::from_shape_fn((1, (tokens + 1).min(spec.context_length)), |(_, i)| {
            if i < tokens { self.made_up_token(i) } else { i64::from(spec.pad_id) }
        });
        let graph = self.text_encoder()?;
        Timing::measure(budget, || vec![ids.clone().into()], |ids| Ok(graph.run(ids).map(drop)?))
    }

    fn time_cross_kv(&self, budget: Duration) -> Result<Timing, Error> {
        let tokens = self.made_up_image_tokens();
        let graph = self.cross_kv_graph()?;
        Timing::measure(
            budget,
            || vec![tokens.clone().into()],
            |tokens| Ok(graph.run(tokens).map(drop)?),
        )
    }

    fn time_step(&self, beams: usize, past: usize, budget: Duration) -> Result<Timing, Error> {
        let cross = self.cross_kv_of(self.made_up_image_tokens())?;
        let mut decoder = self.decoder(&cross)?;
        let token = |i| self.made_up_token(i) as u32;
        decoder.prefill(&(0..past).map(token).collect::<Vec<_>>())?;
        let parents = vec![0; beams];
        let tokens: Vec<u32> = (0..beams).map(token).collect();
        Timing::measure(
            budget,
            || decoder.clone(),
            |mut decoder| decoder.step(&parents, &tokens).map(drop),
        )
    }

    /// So many beams, in the model's groups if they can be.
    fn beam_options(&self, beams: usize) -> Result<CaptionOptions, Error> {
        let groups = self.caption_settings(&CaptionOptions::default())?.beam_groups;
        let groups = if beams.is_multiple_of(groups) { groups } else { 1 };
        Ok(CaptionOptions::default().beams(beams).beam_groups(groups))
    }

    fn made_up_pixels(&self) -> Result<Pixels, Error> {
        let spec = &self.bundle().config().image;
        let picture = image::RgbImage::from_fn(spec.width, spec.height, |x, y| {
            image::Rgb([(x * 7 + y) as u8, (y * 13) as u8, (x ^ y) as u8])
        });
        Ok(self.preprocessor().preprocess(&picture)?)
    }

    fn made_up_image_tokens(&self) -> ArrayD<f32> {
        let dimensions = &self.bundle().config().dimensions;
        let shape = IxDyn(&[1, dimensions.image_tokens, dimensions.image_width]);
        let mut seed = 1_u32;
        ArrayD::from_shape_simple_fn(shape, || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / 8_388_608.0 - 1.0
        })
    }

    fn made_up_token(&self, i: usize) -> i64 {
        let vocabulary = self.bundle().config().text.vocab_size.max(4) as usize;
        (1 + (i * 7919) % (vocabulary - 3)) as i64
    }
}
