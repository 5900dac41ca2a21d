//! The covariance that is expected before any shot is seen.

use ndarray::Array2;

use crate::bundle::Background;

/// Shots that the isotropic covariance counts for: of 50, 100, 200, 400 and 1600, the best for 2, 4 and 16 shots of 100
/// labels.
const ISOTROPIC_SHOTS: f64 = 200.0;

/// The same for the covariance of other pictures: of 100, 200, 400 and 800, 400 and 800 are the best for 4 shots.
const BACKGROUND_SHOTS: f64 = 400.0;

/// Share of the covariance of other pictures, the rest of which is isotropic: of a quarter, half, three quarters and nine
/// tenths, the best for 4 shots.
const BACKGROUND_SHARE: f64 = 0.75;

/// The covariance within labels that is expected before any shot is seen, and the number of shots that it counts for.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    /// `[E, E]`, positive definite.
    pub(super) covariance: Array2<f64>,
    pub(super) shots: f64,
}

impl Prior {
    /// I / E, the covariance of vectors of length 1 and `width` elements that are spread evenly.
    #[must_use]
    pub fn isotropic(width: usize) -> Self {
        Self { covariance: Array2::eye(width) / width as f64, shots: ISOTROPIC_SHOTS }
    }

    /// The covariance of other pictures, brought to the trace of an isotropic one and mixed with it: pictures of one label
    /// differ in the directions in which all pictures do.
    #[must_use]
    pub fn of_background(background: &Background) -> Self {
        let covariance = background.covariance();
        let (width, trace) = (covariance.nrows(), covariance.diag().sum());
        let isotropic = Self::isotropic(width).covariance * (1.0 - BACKGROUND_SHARE);
        let covariance = covariance * (BACKGROUND_SHARE / trace) + isotropic;
        Self { covariance, shots: BACKGROUND_SHOTS }
    }
}
