//! Cholesky's factorisation of a symmetric positive definite matrix.
//!
//! The only factorisation that is needed, of at most some hundred rows: a linear-algebra crate would be many times the
//! rest of this module.

use ndarray::{Array1, Array2, ArrayView1, aview1};

/// The rows of the lower triangle L, `[N, N]`, of A = L·Lᵀ; row i has i + 1 elements.
#[derive(Debug, Clone)]
pub(super) struct Cholesky(Vec<Vec<f64>>);

impl Cholesky {
    /// Factorises `a` `[N, N]`, of which the lower triangle is read; `None` if it is not positive definite.
    pub(super) fn factorise(a: &Array2<f64>) -> Option<Self> {
        let mut lower: Vec<Vec<f64>> = Vec::with_capacity(a.nrows());
        for i in 0..a.nrows() {
            let mut row = Vec::with_capacity(i + 1);
            for (j, above) in lower.iter().enumerate() {
                row.push((a[[i, j]] - dot(&row, &above[..j])) / above[j]);
            }
            let rest = a[[i, i]] - dot(&row, &row);
            if rest.is_nan() || rest <= 0.0 {
                return None;
            }
            row.push(rest.sqrt());
            lower.push(row);
        }
        Some(Self(lower))
    }

    /// L⁻¹·b
    fn forward(&self, b: ArrayView1<'_, f64>) -> Vec<f64> {
        let mut x = Vec::with_capacity(b.len());
        for (i, row) in self.0.iter().enumerate() {
            x.push((b[i] - dot(&x, &row[..i])) / row[i]);
        }
        x
    }

    /// A⁻¹·b
    pub(super) fn solve(&self, b: ArrayView1<'_, f64>) -> Array1<f64> {
        let mut x = self.forward(b);
        for (i, row) in self.0.iter().enumerate().rev() {
            x[i] /= row[i];
            let solved = x[i];
            for (rest, element) in x[..i].iter_mut().zip(row) {
                *rest -= solved * element;
            }
        }
        x.into()
    }

    /// bᵀ·A⁻¹·b
    pub(super) fn inverse_quadratic(&self, b: ArrayView1<'_, f64>) -> f64 {
        let x = self.forward(b);
        dot(&x, &x)
    }
}

/// ndarray's product, which keeps several sums side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    aview1(a).dot(&aview1(b))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn solves_a_system() {
        let a = array![[4.0, 2.0, 0.4], [2.0, 5.0, 1.0], [0.4, 1.0, 3.0]];
        let x = array![1.0, -2.0, 0.5];
        let factors = Cholesky::factorise(&a).unwrap();
        let solved = factors.solve(a.dot(&x).view());
        assert!((&solved - &x).iter().all(|d| d.abs() < 1e-12), "{solved}");
        let quadratic = factors.inverse_quadratic(a.dot(&x).view());
        assert!((quadratic - x.dot(&a.dot(&x))).abs() < 1e-12);
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_refused() {
        assert!(Cholesky::factorise(&array![[1.0, 2.0], [2.0, 1.0]]).is_none());
    }
}
