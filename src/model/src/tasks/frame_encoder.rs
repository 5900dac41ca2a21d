//! Encoding of a camera's frames.

use std::sync::Arc;

use coca_engine::SharedTensor;
use coca_vision::{FramePreprocessor, FrameView, Turn};

use super::{Coca, EncodedImage, Error};

/// Encodes frame after frame. Pixels are written straight into the image encoder's input, which is reused: no frame's
/// pixels are copied or allocated.
///
/// ```
/// # #[cfg(feature = "pocket")] {
/// use std::sync::Arc;
/// use coca_model::{Coca, FrameEncoder};
/// use coca_vision::{Colours, FrameView, PixelFormat, Turn};
///
/// let coca = Arc::new(Coca::pocket()?);
/// let mut encoder = FrameEncoder::new(Arc::clone(&coca), Turn::default());
/// let grey = vec![128; 320 * 240];
/// let frame = FrameView::new(PixelFormat::Grey, (320, 240), Colours::Bt601, &grey)?;
/// let image = encoder.encode(frame)?;
/// let best = coca.labels(["cat", "fog"])?.classify(&image, 1)?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FrameEncoder {
    coca: Arc<Coca>,
    preprocessor: FramePreprocessor,
    /// `[1, 3, height, width]`
    input: SharedTensor,
}

impl FrameEncoder {
    /// An encoder for a camera whose frames are upright after `turn`.
    #[must_use]
    pub fn new(coca: Arc<Coca>, turn: Turn) -> Self {
        Self {
            preprocessor: FramePreprocessor::new(coca.preprocessor().clone(), turn),
            input: empty_input(&coca),
            coca,
        }
    }

    /// The model that encodes.
    #[must_use]
    pub fn coca(&self) -> &Arc<Coca> {
        &self.coca
    }

    /// Resizes, crops, turns, normalises and encodes a frame.
    ///
    /// # Errors
    /// [`Error::Vision`] for a damaged frame, [`Error::Model`] when the image encoder cannot be loaded.
    pub fn encode(&mut self, frame: FrameView<'_>) -> Result<EncodedImage, Error> {
        if self.input.elements_mut().is_none() {
            // A failed run may still hold the last input.
            self.input = empty_input(&self.coca);
        }
        #[expect(clippy::expect_used, reason = "an invariant of the lines above")]
        let values = self.input.elements_mut().expect("the input has no other owner");
        self.preprocessor.preprocess_into(frame, values)?;
        self.coca.encode_input(self.input.clone().into())
    }
}

fn empty_input(coca: &Coca) -> SharedTensor {
    SharedTensor::from(coca.preprocessor().black().into_array().into_dyn())
}
