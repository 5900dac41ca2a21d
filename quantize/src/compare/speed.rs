//! Times of both models for the same images, by turns, so that other load slows both alike.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{error::Error, model::Model, options::Progress, pictures::Sample};

/// Time for each measurement, both models together.
const BUDGET: Duration = Duration::from_secs(4);

/// Rounds at least, however long they take.
const ROUNDS: usize = 5;

/// Speed of the two models on this machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Speed {
    /// Threads that both computed with.
    pub threads: usize,
    /// One picture through the image encoder.
    pub image: Times,
    /// A whole caption, from pixels to the sentence; absent where one of the models cannot.
    pub caption: Option<Times>,
}

/// Times of both models for the same work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Times {
    /// The reference's median, in milliseconds.
    pub a_ms: f64,
    /// The other model's.
    pub b_ms: f64,
    /// Speed of the other model as a multiple of the reference's: `a_ms / b_ms`.
    pub ratio: f64,
    /// Runs of each model.
    pub runs: usize,
}

pub(super) fn measure(
    pair: &[Model; 2],
    samples: &[Sample],
    progress: &mut dyn FnMut(Progress),
) -> Result<Speed, Error> {
    progress(Progress { doing: "speed", done: 0, total: 2 });
    let image = by_turns(pair, samples, |model, sample| model.encode(&sample.pixels).map(drop))?;
    progress(Progress { doing: "speed", done: 1, total: 2 });
    let captions = pair.iter().all(|model| model.coca().bundle().has_decoder());
    let caption = captions.then(|| {
        by_turns(pair, samples, |model, sample| {
            model.caption(&model.encode(&sample.pixels)?).map(drop)
        })
    });
    let threads = pair[0].coca().engine().threads();
    Ok(Speed { threads, image, caption: caption.transpose()? })
}

/// Runs A, B, A, B, … on one sample after the other, of which there is at least one.
fn by_turns(
    pair: &[Model; 2],
    samples: &[Sample],
    work: impl Fn(&Model, &Sample) -> Result<(), Error>,
) -> Result<Times, Error> {
    let mut times = [Vec::new(), Vec::new()];
    let start = Instant::now();
    for sample in samples.iter().cycle() {
        if times[0].len() >= ROUNDS && start.elapsed() >= BUDGET {
            break;
        }
        for (model, times) in pair.iter().zip(&mut times) {
            let run = Instant::now();
            work(model, sample)?;
            times.push(run.elapsed());
        }
    }
    let runs = times[0].len();
    let [a_ms, b_ms] = times.map(median);
    Ok(Times { a_ms, b_ms, ratio: a_ms / b_ms, runs })
}

/// Median in milliseconds of at least one time.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}
