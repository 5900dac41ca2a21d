//! Factors of logits that make the labels of shots likely.
//!
//! A label is expected with probability 1 - 1 / (n + 2) and the others share the rest, after Platt, "Probabilistic Outputs
//! for Support Vector Machines" (1999): n shots that are all right do not make the next one certain, and factors stay
//! finite.

use ndarray::{Array2, ArrayView1};

/// Nats by which a factor of twice its expected value, or of none, is unlikely before any shot is seen.
const PRIOR: f64 = 0.5;

/// Newton's steps, and the gain in nats below which there is no further one.
const STEPS: usize = 20;
const GAIN: f64 = 1e-4;

/// The factor w of the logits `[n, labels]` for which softmax(w · logits) gives the labels the largest likelihood.
///
/// The negative log-likelihood is convex in w, so its derivative is bisected. Shots whose label has nothing left are
/// not counted.
#[must_use]
pub fn calibrate(logits: &Array2<f64>, labels: &[usize]) -> f64 {
    const ROUNDS: usize = 14;
    let (mut low, mut high) = (1e-4_f64.ln(), 1e3_f64.ln());
    for _ in 0..ROUNDS {
        let middle = f64::midpoint(low, high);
        if slope(logits, labels, middle.exp()) > 0.0 {
            high = middle;
        } else {
            low = middle;
        }
    }
    low.exp()
}

/// The derivative of the negative log-likelihood with respect to the factor `w`.
fn slope(logits: &Array2<f64>, labels: &[usize], w: f64) -> f64 {
    let rows = logits.rows().into_iter().zip(labels);
    rows.filter(|(row, label)| row[**label].is_finite())
        .map(|(row, &label)| {
            let largest = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
            let (mut total, mut weighted) = (0.0, 0.0);
            for &logit in row.iter().filter(|logit| logit.is_finite()) {
                let power = (w * (logit - largest)).exp();
                total += power;
                weighted += power * logit;
            }
            weighted / total - expected(row, label, labels.len())
        })
        .sum()
}

/// The mean of a row of logits under the probabilities that are expected of its `label`.
fn expected(row: ArrayView1<'_, f64>, label: usize, shots: usize) -> f64 {
    let doubt = 1.0 / (shots + 2) as f64;
    let (total, count) = row
        .iter()
        .filter(|logit| logit.is_finite())
        .fold((0.0, 0.0), |(total, count), logit| (total + logit, count + 1.0));
    (1.0 - doubt) * row[label] + doubt * total / count
}

/// The factors of two kinds of logits `[n, labels]` whose sum gives the labels the largest likelihood.
///
/// 1 is expected of the first, and of the second what [`calibrate`] makes of it alone. Convex, by Newton's method; shots
/// whose label has nothing left are not counted.
pub(super) fn likeliest(first: &Array2<f64>, second: &Array2<f64>, labels: &[usize]) -> (f64, f64) {
    let unit = calibrate(second, labels);
    let second = second * unit;
    let mut at = Point::at([1.0, 1.0], first, &second, labels);
    for _ in 0..STEPS {
        let [a, b] = at.newton_step();
        let halves = std::iter::successors(Some(1.0), |t| Some(t / 2.0)).take(STEPS);
        let mut tried = halves.map(|t| {
            Point::at([at.factors[0] - t * a, at.factors[1] - t * b], first, &second, labels)
        });
        let Some(better) = tried.find(|point| point.loss <= at.loss) else { break };
        let gain = at.loss - better.loss;
        at = better;
        if gain < GAIN {
            break;
        }
    }
    (at.factors[0], at.factors[1] * unit)
}

/// The negative log-likelihood at two factors, prior included, and its derivatives.
struct Point {
    factors: [f64; 2],
    loss: f64,
    gradient: [f64; 2],
    /// The second derivatives by the first factor, by both, and by the second.
    curvature: [f64; 3],
}

impl Point {
    fn at(factors: [f64; 2], first: &Array2<f64>, second: &Array2<f64>, labels: &[usize]) -> Self {
        let away = factors.map(|factor| factor - 1.0);
        let mut point = Self {
            factors,
            loss: PRIOR * (away[0] * away[0] + away[1] * away[1]),
            gradient: away.map(|away| 2.0 * PRIOR * away),
            curvature: [2.0 * PRIOR, 0.0, 2.0 * PRIOR],
        };
        let rows = first.rows().into_iter().zip(second.rows()).zip(labels);
        for ((first, second), &label) in rows.filter(|((_, row), label)| row[**label].is_finite()) {
            point.add(first, second, label, labels.len());
        }
        point
    }

    fn add(
        &mut self,
        first: ArrayView1<'_, f64>,
        second: ArrayView1<'_, f64>,
        label: usize,
        shots: usize,
    ) {
        let [a, b] = self.factors;
        let pairs =
            || first.iter().zip(second).map(|(&x, &y)| (x, y)).filter(|(_, y)| y.is_finite());
        let largest = pairs().fold(f64::NEG_INFINITY, |most, (x, y)| most.max(a * x + b * y));
        let (mut total, mut mean, mut square) = (0.0, [0.0; 2], [0.0; 3]);
        for (x, y) in pairs() {
            let power = (a * x + b * y - largest).exp();
            total += power;
            mean = [mean[0] + power * x, mean[1] + power * y];
            square =
                [square[0] + power * x * x, square[1] + power * x * y, square[2] + power * y * y];
        }
        let [x, y] = mean.map(|sum| sum / total);
        let wanted = [expected(first, label, shots), expected(second, label, shots)];
        self.loss += total.ln() + largest - a * wanted[0] - b * wanted[1];
        self.gradient[0] += x - wanted[0];
        self.gradient[1] += y - wanted[1];
        self.curvature[0] += square[0] / total - x * x;
        self.curvature[1] += square[1] / total - x * y;
        self.curvature[2] += square[2] / total - y * y;
    }

    /// The inverse of the second derivatives times the first.
    fn newton_step(&self) -> [f64; 2] {
        let ([p, q, r], [x, y]) = (self.curvature, self.gradient);
        let determinant = p * r - q * q;
        [(r * x - q * y) / determinant, (p * y - q * x) / determinant]
    }
}
