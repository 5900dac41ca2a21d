//! The newest view, shared by the connections of all viewers.

use std::{
    collections::VecDeque,
    io::Cursor,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use image::{ImageError, RgbImage, codecs::jpeg::JpegEncoder};

use crate::{FrameCaption, display::View};

/// Captions kept for viewers who come later.
const MAX_CAPTIONS: usize = 50;
const JPEG_QUALITY: u8 = 80;

/// The newest view, the captions before it, and the picture as a JPEG.
#[derive(Debug, Default)]
pub(super) struct Live {
    newest: Mutex<Newest>,
    changed: Condvar,
    jpeg: Mutex<Option<Jpeg>>,
}

/// A snapshot of what there is to show.
#[derive(Debug, Clone)]
pub(super) struct Newest {
    pub(super) view: View,
    /// Number of changes so far.
    pub(super) version: u64,
    /// Number of pictures so far; 0 while there is none.
    pub(super) picture: u64,
    /// The newest last.
    pub(super) captions: VecDeque<FrameCaption>,
    /// Number of captions so far, those no longer kept included.
    pub(super) caption_count: u64,
    /// Number of changes of `vocabulary` so far; 0 while it is not known.
    pub(super) vocabulary_version: u64,
    pub(super) vocabulary: Arc<[String]>,
    /// Arrival of the newest frame.
    pub(super) advanced: Instant,
    /// Whether the display is closed: no more changes.
    pub(super) is_closed: bool,
}

impl Default for Newest {
    fn default() -> Self {
        Self {
            view: View::default(),
            version: 0,
            picture: 0,
            captions: VecDeque::new(),
            caption_count: 0,
            vocabulary_version: 0,
            vocabulary: Arc::new([]),
            advanced: Instant::now(),
            is_closed: false,
        }
    }
}

#[derive(Debug)]
struct Jpeg {
    picture: u64,
    bytes: Arc<[u8]>,
}

impl Live {
    /// Replaces the view.
    pub(super) fn show(&self, view: &View) {
        self.change(|newest| {
            if view.status.frame != newest.view.status.frame {
                newest.advanced = Instant::now();
            }
            let picture = view.picture.as_ref().map(Arc::as_ptr);
            if picture.is_some() && picture != newest.view.picture.as_ref().map(Arc::as_ptr) {
                newest.picture += 1;
            }
            if let Some(caption) = &view.caption
                && newest.captions.back() != Some(caption)
            {
                newest.captions.push_back(caption.clone());
                newest.caption_count += 1;
                if newest.captions.len() > MAX_CAPTIONS {
                    newest.captions.pop_front();
                }
            }
            newest.view = view.clone();
        });
    }

    pub(super) fn set_vocabulary(&self, labels: &[String]) {
        self.change(|newest| {
            newest.vocabulary = labels.into();
            newest.vocabulary_version += 1;
        });
    }

    /// Ends every stream of events.
    pub(super) fn close(&self) {
        self.change(|newest| newest.is_closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut Newest)) {
        let mut newest = lock(&self.newest);
        change(&mut newest);
        newest.version += 1;
        self.changed.notify_all();
    }

    pub(super) fn newest(&self) -> Newest {
        lock(&self.newest).clone()
    }

    /// Waits for a version other than `seen`; `None` if nothing changed within `timeout`.
    pub(super) fn newer_than(&self, seen: u64, timeout: Duration) -> Option<Newest> {
        let guard = lock(&self.newest);
        let (newest, result) = self
            .changed
            .wait_timeout_while(guard, timeout, |newest| {
                newest.version == seen && !newest.is_closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        (!result.timed_out()).then(|| newest.clone())
    }

    /// The newest picture as a JPEG, encoded once however many ask; `None` if there is no picture yet.
    pub(super) fn snapshot(&self) -> Option<Result<Arc<[u8]>, ImageError>> {
        let mut jpeg = lock(&self.jpeg);
        let (picture, number) = {
            let newest = lock(&self.newest);
            (newest.view.picture.clone()?, newest.picture)
        };
        if let Some(jpeg) = jpeg.as_ref().filter(|jpeg| jpeg.picture == number) {
            return Some(Ok(Arc::clone(&jpeg.bytes)));
        }
        Some(encode(&picture).inspect(|bytes| {
            *jpeg = Some(Jpeg { picture: number, bytes: Arc::clone(bytes) });
        }))
    }
}

fn encode(picture: &RgbImage) -> Result<Arc<[u8]>, ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(picture)?;
    Ok(bytes.into_inner().into())
}

/// Locks `mutex`. A thread that panicked while it held the lock left a whole value behind: changes are assignments.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn caption(frame: u64) -> View {
        let captured_at = SystemTime::UNIX_EPOCH;
        let caption = FrameCaption { text: "a cat".into(), frame, latency_ms: 800.0, captured_at };
        View { caption: Some(caption), ..View::default() }
    }

    #[test]
    fn a_caption_is_kept_once_and_the_oldest_are_forgotten() {
        let live = Live::default();
        for frame in 0..60 {
            live.show(&caption(frame));
            live.show(&caption(frame));
        }
        let newest = live.newest();
        assert_eq!((newest.captions.len(), newest.caption_count), (MAX_CAPTIONS, 60));
        assert_eq!(newest.captions[0].frame, 10);
    }

    #[test]
    fn a_picture_is_encoded_once() {
        let live = Live::default();
        assert!(live.snapshot().is_none());
        let picture = Some(Arc::new(RgbImage::new(16, 16)));
        live.show(&View { picture, ..View::default() });
        let first = live.snapshot().unwrap().unwrap();
        live.show(&live.newest().view);
        let second = live.snapshot().unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        let picture = Some(Arc::new(RgbImage::new(16, 16)));
        live.show(&View { picture, ..View::default() });
        assert!(!Arc::ptr_eq(&first, &live.snapshot().unwrap().unwrap()));
    }

    #[test]
    fn a_waiting_viewer_hears_of_a_change_and_of_the_end() {
        let live = Live::default();
        assert!(live.newer_than(0, Duration::from_millis(1)).is_none());
        live.show(&caption(1));
        let newest = live.newer_than(0, Duration::ZERO).unwrap();
        assert_eq!(newest.version, 1);
        live.close();
        assert!(live.newer_than(1, Duration::ZERO).unwrap().is_closed);
    }
}
