//! The `image` object of `coca.json`.

use serde::{Deserialize, Serialize};

use crate::Error;

/// Maximum width or height of a model's input.
const MAX_SIDE: u32 = 4096;

/// The size and the normalisation of a model's input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelSpec {
    /// Columns, 1 to 4096.
    pub width: u32,
    /// Rows, 1 to 4096.
    pub height: u32,
    /// Mean of red, green and blue over the training images, where 0 is black and 1 is full.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue, on the same scale; more than 0.
    pub std: [f32; 3],
    /// Fit of an image of another shape.
    pub resize: Resize,
    /// Interpolation filter.
    pub interpolation: Interpolation,
}

/// Fit of an image into the model's input: `resize_mode` of open_clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// Covers the input and crops the centre.
    Shortest,
    /// Keeps the whole image, centred on black.
    Longest,
    /// Stretches width and height independently.
    Squash,
}

/// Interpolation filter, widened on shrinking against aliasing, as in Pillow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Cubic convolution with a = -0.5 (Catmull-Rom).
    Bicubic,
    /// Linear.
    Bilinear,
}

impl PixelSpec {
    /// Checks every value's range.
    ///
    /// # Errors
    /// [`Error::Spec`] names the first value that cannot be used.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |key, expected, found: String| Err(Error::Spec { key, expected, found });
        for (key, side) in [("width", self.width), ("height", self.height)] {
            if !(1..=MAX_SIDE).contains(&side) {
                return wrong(key, "1 to 4096", side.to_string());
            }
        }
        if !self.mean.iter().all(|mean| mean.is_finite()) {
            return wrong("mean", "three finite numbers", format!("{:?}", self.mean));
        }
        if !self.std.iter().all(|std| std.is_normal() && *std > 0.0) {
            return wrong("std", "three numbers above 0", format!("{:?}", self.std));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"width":224,"height":288,"mean":[0.5,0.4,0.3],"std":[0.25,0.25,0.25],"resize":"shortest","interpolation":"bicubic"}"#;

    #[test]
    fn the_image_object_of_coca_json_is_read_and_written_unchanged() {
        let spec: PixelSpec = serde_json::from_str(JSON).unwrap();
        spec.validate().unwrap();
        assert_eq!((spec.width, spec.height, spec.resize), (224, 288, Resize::Shortest));
        assert_eq!(serde_json::to_string(&spec).unwrap(), JSON);
    }

    #[test]
    fn an_unknown_key_or_resize_mode_is_refused() {
        assert!(serde_json::from_str::<PixelSpec>(&JSON.replace("height", "hight")).is_err());
        assert!(serde_json::from_str::<PixelSpec>(&JSON.replace("shortest", "widest")).is_err());
        assert!(
            serde_json::from_str::<PixelSpec>(&JSON.replacen('{', r#"{"fill":0,"#, 1)).is_err()
        );
    }

    #[test]
    fn values_out_of_range_are_named() {
        let spec: PixelSpec = serde_json::from_str(JSON).unwrap();
        let error = |spec: PixelSpec| spec.validate().unwrap_err().to_string();
        assert_eq!(
            error(PixelSpec { width: 0, ..spec.clone() }),
            "image.width: expected 1 to 4096, found 0"
        );
        assert_eq!(
            error(PixelSpec { height: 4097, ..spec.clone() }),
            "image.height: expected 1 to 4096, found 4097"
        );
        assert!(
            error(PixelSpec { mean: [0.0, f32::NAN, 0.0], ..spec.clone() })
                .starts_with("image.mean")
        );
        assert!(error(PixelSpec { std: [1.0, 0.0, 1.0], ..spec.clone() }).starts_with("image.std"));
        assert!(
            error(PixelSpec { std: [1.0, f32::INFINITY, 1.0], ..spec }).starts_with("image.std")
        );
    }
}
