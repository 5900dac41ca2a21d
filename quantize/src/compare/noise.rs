//! Signal and noise of a tensor: the reference's value, and the other model's difference from it.

use ndarray::ArrayD;

/// Energy of a tensor in the reference, and of its difference in the other model, over any number of runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Noise {
    signal: f64,
    noise: f64,
}

impl Noise {
    /// Takes the tensor of one run; both arrays have one shape.
    pub(super) fn add(&mut self, a: &ArrayD<f32>, b: &ArrayD<f32>) {
        for (&a, &b) in a.iter().zip(b) {
            let (a, b) = (f64::from(a), f64::from(b));
            self.signal += a * a;
            self.noise += (a - b) * (a - b);
        }
    }

    /// Signal-to-noise ratio in dB; infinite where the two are equal.
    pub(super) fn snr_db(self) -> f64 {
        if self.noise == 0.0 { f64::INFINITY } else { 10.0 * (self.signal / self.noise).log10() }
    }

    /// Share of the signal that is lost, 0 to 1.
    pub(super) fn lost(self) -> f64 {
        if self.noise == 0.0 { 0.0 } else { (self.noise / self.signal).min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn noise(a: [f32; 2], b: [f32; 2]) -> Noise {
        let mut noise = Noise::default();
        noise.add(&array![a[0], a[1]].into_dyn(), &array![b[0], b[1]].into_dyn());
        noise
    }

    #[test]
    fn a_tenth_of_the_amplitude_is_twenty_decibels() {
        let found = noise([3.0, 4.0], [3.3, 4.4]);
        assert!((found.snr_db() - 20.0).abs() < 1e-4, "{found:?}");
        assert!((found.lost() - 0.01).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn equal_tensors_have_no_noise_even_when_they_are_zero() {
        for found in [noise([1.0, 2.0], [1.0, 2.0]), noise([0.0; 2], [0.0; 2])] {
            assert_eq!((found.snr_db(), found.lost()), (f64::INFINITY, 0.0));
        }
    }

    #[test]
    fn no_more_than_the_whole_signal_can_be_lost() {
        assert_eq!(noise([1.0, 0.0], [-9.0, 7.0]).lost(), 1.0);
        assert_eq!(noise([0.0, 0.0], [1.0, 0.0]).lost(), 1.0);
    }
}
