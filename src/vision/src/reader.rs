//! Images from files and standard input, decoded ahead of the model.

use std::{
    sync::mpsc::{Receiver, sync_channel},
    thread::{self, JoinHandle},
};

use crate::{
    Limits, Pixels, Preprocessor, ReadError, Source,
    decode::{self, decode, read_file},
};

/// Preprocessed images that may wait for the model.
const AHEAD: usize = 4;

/// An image, and where it comes from.
type Item = (Source, Result<Pixels, ReadError>);

/// Reads and preprocesses images on a thread of its own, a few ahead of the model, and yields them in order. Where the
/// system refuses another thread, each is read when it is asked for.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use coca_vision::{ImageReader, Interpolation, PixelSpec, Preprocessor, Resize, sources};
///
/// # let folder = "../../tests/photos";
/// let preprocessor = Preprocessor::new(PixelSpec {
///     width: 224,
///     height: 224,
///     mean: [0.5; 3],
///     std: [0.5; 3],
///     resize: Resize::Shortest,
///     interpolation: Interpolation::Bicubic,
/// })?;
/// for (source, pixels) in ImageReader::start(sources(&[folder.into()]), preprocessor) {
///     match pixels {
///         Ok(pixels) => println!("{source}: {:?}", pixels.view().shape()),
///         Err(error) => eprintln!("{error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct ImageReader(Reading);

enum Reading {
    Ahead { images: Receiver<Item>, thread: Option<JoinHandle<()>> },
    OnDemand(Box<dyn Iterator<Item = Item> + Send>),
}

impl ImageReader {
    /// Starts reading within the [`Limits`] of this process; each image is decoded and preprocessed by `preprocessor`.
    #[must_use]
    pub fn start(sources: Vec<(Source, Option<ReadError>)>, preprocessor: Preprocessor) -> Self {
        Self::within(sources, preprocessor, Limits::of_process(1))
    }

    /// As [`start`](Self::start), within `limits`.
    #[must_use]
    pub fn within(
        sources: Vec<(Source, Option<ReadError>)>,
        preprocessor: Preprocessor,
        limits: Limits,
    ) -> Self {
        Self::with(sources, move |source| read(source, &limits, &preprocessor))
    }

    fn with(
        sources: Vec<(Source, Option<ReadError>)>,
        read: impl Fn(&Source) -> Result<Pixels, ReadError> + Send + 'static,
    ) -> Self {
        let items = sources.into_iter().map(move |(source, error)| {
            let pixels = error.map_or_else(|| read(&source), Err);
            (source, pixels)
        });
        // The thread is given its work once it is there: a closure that is not started is lost.
        let (give, work) = sync_channel(1);
        let (sender, images) = sync_channel(AHEAD);
        let read_ahead = move || {
            for item in work.into_iter().flatten() {
                if sender.send(item).is_err() {
                    return;
                }
            }
        };
        match thread::Builder::new().name("pictures".to_owned()).spawn(read_ahead) {
            Ok(thread) => {
                // It waits for this.
                let _ = give.send(items);
                Self(Reading::Ahead { images, thread: Some(thread) })
            }
            Err(_) => Self(Reading::OnDemand(Box::new(items))),
        }
    }
}

impl Iterator for ImageReader {
    type Item = Item;

    /// # Panics
    /// When a decoder panicked on the reading thread: a truncated list of answers would look complete.
    fn next(&mut self) -> Option<Self::Item> {
        let (images, thread) = match &mut self.0 {
            Reading::Ahead { images, thread } => (images, thread),
            Reading::OnDemand(items) => return items.next(),
        };
        let next = images.recv().ok();
        if next.is_none()
            && let Some(thread) = thread.take()
            && let Err(panic) = thread.join()
        {
            std::panic::resume_unwind(panic);
        }
        next
    }
}

fn read(
    source: &Source,
    limits: &Limits,
    preprocessor: &Preprocessor,
) -> Result<Pixels, ReadError> {
    let bytes = match source {
        Source::File(path) => read_file(path, limits),
        Source::Stdin => decode::read(std::io::stdin().lock(), limits),
    };
    let pixels = bytes
        .and_then(|bytes| decode(&bytes, limits, preprocessor.detail()))
        .and_then(|image| preprocessor.preprocess(&image));
    pixels.map_err(|error| ReadError::of(source.clone(), error))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    #[should_panic(expected = "a decoder's fault")]
    fn a_decoder_that_panics_does_not_end_the_list_of_images_in_silence() {
        let sources = vec![(Source::Stdin, None), (Source::Stdin, None)];
        ImageReader::with(sources, |_| panic!("a decoder's fault")).for_each(drop);
    }

    #[test]
    fn a_folder_that_is_expanded_to_nothing_is_yielded_as_an_error_in_its_place() {
        let path = PathBuf::from("nothing here");
        let error = ReadError::EmptyFolder { path: path.clone() };
        let sources = vec![(Source::File(path), Some(error))];
        let mut reader = ImageReader::with(sources, |_| unreachable!());
        let (_, answer) = reader.next().unwrap();
        assert!(answer.unwrap_err().to_string().starts_with("nothing here: no picture"));
        assert!(reader.next().is_none());
    }
}
