//! Statistics of the channels of an activation, over all pictures.

use std::collections::BTreeMap;

use ndarray::{ArrayD, Axis};

use super::{super::error::Error, subgraph::Subgraph};

/// Extremes and moments of every channel of an activation `[1, C, …]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Channels {
    pub(super) low: Vec<f32>,
    pub(super) high: Vec<f32>,
    sum: Vec<f64>,
    squares: Vec<f64>,
    /// Elements of a channel.
    count: usize,
}

impl Channels {
    /// The channels of what `graph` makes of `pictures`, by the names of its `outputs`.
    pub(super) fn of_outputs(
        graph: &Subgraph,
        outputs: &[&str],
        pictures: &[ArrayD<f32>],
    ) -> Result<BTreeMap<String, Self>, Error> {
        let mut channels: BTreeMap<String, Self> = BTreeMap::new();
        for picture in pictures {
            for (&name, value) in outputs.iter().zip(graph.run(vec![picture.clone()])?) {
                channels.entry(name.to_owned()).or_default().add(&value);
            }
        }
        Ok(channels)
    }

    /// Takes an activation `[N, C, …]` up.
    pub(super) fn add(&mut self, activation: &ArrayD<f32>) {
        let channels = activation.shape().get(1).copied().unwrap_or(0);
        if self.low.is_empty() {
            self.low = vec![f32::INFINITY; channels];
            self.high = vec![f32::NEG_INFINITY; channels];
            self.sum = vec![0.0; channels];
            self.squares = vec![0.0; channels];
        }
        for (channel, values) in activation.axis_iter(Axis(1)).enumerate().take(self.low.len()) {
            let (mut low, mut high) = (self.low[channel], self.high[channel]);
            let (mut sum, mut squares) = (0.0, 0.0);
            for &value in values {
                (low, high) = (low.min(value), high.max(value));
                sum += f64::from(value);
                squares += f64::from(value) * f64::from(value);
            }
            (self.low[channel], self.high[channel]) = (low, high);
            self.sum[channel] += sum;
            self.squares[channel] += squares;
        }
        self.count += activation.len() / channels.max(1);
    }

    /// The least and the greatest of all values, 0 among them.
    pub(super) fn range(&self) -> [f32; 2] {
        let low = self.low.iter().copied().fold(0.0, f32::min);
        [low, self.high.iter().copied().fold(0.0, f32::max)]
    }

    /// The mean of each channel.
    pub(super) fn means(&self) -> impl Iterator<Item = f64> {
        self.sum.iter().map(|sum| sum / self.count.max(1) as f64)
    }

    /// The mean square of each channel.
    pub(super) fn energies(&self) -> impl Iterator<Item = f64> {
        self.squares.iter().map(|squares| squares / self.count.max(1) as f64)
    }

    /// Multiplies each channel by its factor, more than 0.
    pub(super) fn scale(&mut self, factors: &[f32]) {
        for (channel, &factor) in factors.iter().enumerate() {
            self.low[channel] *= factor;
            self.high[channel] *= factor;
            self.sum[channel] *= f64::from(factor);
            self.squares[channel] *= f64::from(factor).powi(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array;

    use super::*;

    #[test]
    fn channels_are_apart_and_pictures_are_not() {
        let mut channels = Channels::default();
        for picture in [[1.0, 3.0, -2.0, 0.0], [5.0, 3.0, 4.0, 2.0]] {
            let picture = Array::from_vec(picture.to_vec()).into_shape_with_order((1, 2, 2, 1));
            channels.add(&picture.unwrap().into_dyn());
        }
        assert_eq!((&channels.low[..], &channels.high[..]), (&[1.0, -2.0][..], &[5.0, 4.0][..]));
        assert_eq!(channels.means().collect::<Vec<_>>(), [3.0, 1.0]);
        assert_eq!(channels.energies().collect::<Vec<_>>(), [11.0, 6.0]);
        channels.scale(&[1.0, 3.0]);
        assert_eq!(channels.range(), [-6.0, 12.0]);
        assert_eq!(channels.energies().nth(1), Some(54.0));
    }
}
