//! Encoding of a camera's frames.

use std::sync::Arc;

use coca_engine::SharedTensor;
use coca_vision::{CodeTable, FramePreprocessor, FrameView, Orientation};

use super::{Coca, EncodedImage, Error};

/// Encodes frame after frame. Pixels are written straight into the image encoder's input, which is reused: no frame's
/// pixels are copied or allocated.
///
/// ```
/// # #[cfg(feature = "pocket")] {
/// use std::sync::Arc;
/// use coca_model::{Coca, FrameEncoder};
/// use coca_vision::{FrameView, Orientation, PixelFormat, YuvMatrix};
///
/// let coca = Arc::new(Coca::pocket()?);
/// let mut encoder = FrameEncoder::new(Arc::clone(&coca), Orientation::default());
/// let grey = vec![128; 320 * 240];
/// let frame = FrameView::new(PixelFormat::Grey, (320, 240), YuvMatrix::Bt601, &grey)?;
/// let image = encoder.encode(frame)?;
/// let best = coca.labels(["cat", "fog"])?.classify(&image, 1)?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FrameEncoder {
    coca: Arc<Coca>,
    preprocessor: FramePreprocessor,
    /// `None` before the first frame.
    input: Option<FrameInput>,
}

/// The image encoder's input, which every frame overwrites.
struct FrameInput {
    /// Pixels `[1, 3, height, width]`, or codes `[1, height, width, 3]`.
    tensor: SharedTensor,
    /// The codes of a frame's levels, if the encoder takes them.
    table: Option<Box<CodeTable>>,
}

impl FrameEncoder {
    /// An encoder for a camera whose frames are upright after `orientation`.
    #[must_use]
    pub fn new(coca: Arc<Coca>, orientation: Orientation) -> Self {
        Self {
            preprocessor: FramePreprocessor::new(coca.preprocessor().clone(), orientation),
            input: None,
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
        let input = self.input.take().map_or_else(|| FrameInput::new(&self.coca), Ok)?;
        let input = self.input.insert(input);
        let written = match input.write(&mut self.preprocessor, frame) {
            Some(written) => written,
            None => {
                // A failed run may still hold the last input.
                *input = FrameInput::new(&self.coca)?;
                #[expect(clippy::expect_used, reason = "an invariant of the line above")]
                input.write(&mut self.preprocessor, frame).expect("the input has no other owner")
            }
        };
        written?;
        self.coca.encode_input(input.tensor.clone().into())
    }
}

impl FrameInput {
    fn new(coca: &Coca) -> Result<Self, Error> {
        let (preprocessor, table) = (coca.preprocessor(), coca.pixel_codes()?.map(Box::new));
        let tensor = match &table {
            Some(table) => SharedTensor::from(preprocessor.black_codes(table).into_dyn()),
            None => SharedTensor::from(preprocessor.black().into_array().into_dyn()),
        };
        Ok(Self { tensor, table })
    }

    /// Writes a frame; `None` while something else holds the tensor.
    fn write(
        &mut self,
        preprocessor: &mut FramePreprocessor,
        frame: FrameView<'_>,
    ) -> Option<Result<(), coca_vision::Error>> {
        match &self.table {
            Some(table) => {
                let codes = self.tensor.codes_mut()?;
                Some(preprocessor.preprocess_codes_into(frame, table, codes))
            }
            None => Some(preprocessor.preprocess_into(frame, self.tensor.elements_mut()?)),
        }
    }
}
