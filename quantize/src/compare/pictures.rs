//! One pass over the images: each through both models.

use coca_model::EncodedImage;
use coca_vision::{ImageReader, Pixels, ReadError, Source, sources};

use super::{
    agreement::{CaptionTally, CosineTally, Failed, LabelTally},
    error::Error,
    labels::Encoded,
    model::Model,
    options::{Options, Progress},
};

/// Images, spread over the folder, that the layers are compared on.
const SAMPLES: usize = 8;

/// Results of the pass.
pub(super) struct Found {
    pub(super) images: CosineTally,
    pub(super) labels: LabelTally,
    /// Absent where one of the models cannot caption.
    pub(super) captions: Option<CaptionTally>,
    pub(super) failed: Vec<Failed>,
    pub(super) samples: Vec<Sample>,
}

/// An image to compare the layers on.
pub(super) struct Sample {
    pub(super) pixels: Pixels,
    /// Tokens of the reference's caption, without the end token; `None` where it has no decoder.
    pub(super) caption: Option<Vec<u32>>,
}

pub(super) fn compare(
    pair: &[Model; 2],
    labels: &Encoded,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Found, Error> {
    let sources = list(options)?;
    let total = sources.len();
    let apart = total.div_ceil(SAMPLES);
    let captions = pair.iter().all(|model| model.coca().bundle().has_decoder());
    let mut found = Found {
        images: CosineTally::default(),
        labels: LabelTally::default(),
        captions: captions.then(CaptionTally::default),
        failed: Vec::new(),
        samples: Vec::new(),
    };
    for (i, (source, pixels)) in
        ImageReader::start(sources, pair[0].coca().preprocessor().clone()).enumerate()
    {
        progress(Progress { doing: "pictures", done: i, total });
        let source = source.to_string();
        match pixels {
            Ok(pixels) => {
                let caption = found.add(pair, labels, &source, &pixels)?;
                if i % apart == 0 || found.samples.is_empty() {
                    found.samples.push(Sample { pixels, caption });
                }
            }
            Err(error) => found.failed.push(Failed { source, error: error.to_string() }),
        }
    }
    match found.failed.first() {
        Some(first) if found.images.count() == 0 => Err(Error::NoneReadable {
            path: options.images.clone(),
            count: total,
            first: first.error.clone(),
        }),
        _ => Ok(found),
    }
}

/// The images of the folder, or why there are none.
fn list(options: &Options) -> Result<Vec<(Source, Option<ReadError>)>, Error> {
    let mut sources = sources(std::slice::from_ref(&options.images));
    if let Some((_, error @ Some(_))) = sources.first_mut()
        && let Some(error) = error.take()
    {
        return Err(Error::NoPictures(error));
    }
    sources.truncate(options.max_images.unwrap_or(usize::MAX));
    Ok(sources)
}

impl Found {
    /// Runs both models on an image; returns the tokens of the reference's caption.
    fn add(
        &mut self,
        pair: &[Model; 2],
        labels: &Encoded,
        source: &str,
        pixels: &Pixels,
    ) -> Result<Option<Vec<u32>>, Error> {
        let pictures = [pair[0].encode(pixels)?, pair[1].encode(pixels)?];
        let [a, b] = pictures.each_ref().map(|picture| picture.embedding());
        self.images.add(source, a.view(), b.view());
        let scores = [
            pair[0].named(labels.tables[0].scores(a))?,
            pair[1].named(labels.tables[1].scores(b))?,
        ];
        self.labels.add(source, scores[0].view(), scores[1].view());
        self.add_captions(pair, source, &pictures)
    }

    fn add_captions(
        &mut self,
        pair: &[Model; 2],
        source: &str,
        pictures: &[EncodedImage; 2],
    ) -> Result<Option<Vec<u32>>, Error> {
        let Some(tally) = &mut self.captions else { return Ok(None) };
        let text = &pair[0].coca().bundle().config().text;
        let (a, b) = (pair[0].caption(&pictures[0])?, pair[1].caption(&pictures[1])?);
        tally.add(source, &a, &b, &[text.start_id, text.end_id, text.pad_id]);
        let mut tokens = a.tokens;
        tokens.pop_if(|last| *last == text.end_id);
        Ok(Some(tokens))
    }
}
