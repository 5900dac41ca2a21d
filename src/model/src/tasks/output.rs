//! Outputs of a part, checked before anything is computed from them.

use ndarray::ArrayD;

use super::Error;

/// The output of `part`, which must be finite and of the shape `expected`.
///
/// A damaged or overflowing model answers with NaN, which every later comparison would turn into a
/// confident label or an empty caption.
///
/// # Errors
/// [`Error::Shape`] and [`Error::NotFinite`].
pub(super) fn checked_output(
    part: &'static str,
    output: Option<ArrayD<f32>>,
    expected: &[usize],
) -> Result<ArrayD<f32>, Error> {
    let shape = |found| Error::Shape { part, expected: expected.to_vec(), found };
    let output = output.ok_or_else(|| shape(None))?;
    if output.shape() != expected {
        return Err(shape(Some(output.shape().to_vec())));
    }
    match output.iter().find(|value| !value.is_finite()) {
        Some(&found) => Err(Error::NotFinite { part, found }),
        None => Ok(output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(output: Option<ArrayD<f32>>) -> String {
        checked_output("text_encoder.onnx", output, &[1, 2]).unwrap_err().to_string()
    }

    #[test]
    fn an_output_of_another_shape_is_refused_with_both_shapes() {
        assert_eq!(
            error(Some(ArrayD::zeros(vec![2, 1]))),
            "text_encoder.onnx: expected [1, 2], found [2, 1]: the model's parts do not belong together"
        );
        assert!(error(None).contains("expected [1, 2], found nothing"));
    }

    #[test]
    fn an_output_that_is_not_finite_is_refused() {
        for bad in [f32::NAN, f32::INFINITY] {
            let sentence = error(Some(ndarray::arr2(&[[0.5, bad]]).into_dyn()));
            assert_eq!(
                sentence,
                format!("text_encoder.onnx: expected finite numbers, found {bad}")
            );
        }
    }

    #[test]
    fn a_finite_output_of_the_right_shape_is_passed_on() {
        let output = ndarray::arr2(&[[0.5, -0.5]]).into_dyn();
        assert_eq!(checked_output("x", Some(output.clone()), &[1, 2]).unwrap(), output);
    }
}
