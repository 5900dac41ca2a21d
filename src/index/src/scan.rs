//! The exact search: a screen in int8, then a second look in f32 at what may be among the best.
//!
//! Each product lies within bounds that the screen knows ([`QuantizedQuery::bounds`]). A row whose upper bound is below the k-th
//! largest lower bound cannot be among the k best; all others are looked at again. So nothing is missed: the answer is that of
//! multiplying every row in f32.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use coca_kernels::{Cpu, Pool};

use crate::{
    Error,
    quantized::{Bounds, QuantizedQuery, product},
    rows::RowSet,
    vectors::Vectors,
};

/// Rows that a thread takes at once.
const CHUNK: usize = 4096;
/// Rows whose sums are kept at once.
const BLOCK: usize = 256;

/// The rows to give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wanted {
    /// So many, the largest products.
    Best(usize),
    /// Those with products of at least so much.
    AtLeast(f32),
}

/// Rows with their products, and the moments of all products.
#[derive(Debug, PartialEq)]
pub(crate) struct Found {
    /// Largest first; equal products in the order of rows.
    pub(crate) rows: Vec<(u64, f64)>,
    pub(crate) moments: Moments,
}

/// Mean and standard deviation of the products with all pictures, as the screen sees them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Moments {
    count: u64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// The number of standard deviations by which `score` is above the mean; `None` for fewer than two pictures or equal ones.
    pub(crate) fn z(&self, score: f64) -> Option<f64> {
        let count = self.count as f64;
        let mean = self.sum / count;
        let variance = self.squares / count - mean * mean;
        (self.count > 1 && variance > 1e-12).then(|| (score - mean) / variance.sqrt())
    }
}

/// The rows that a search goes through.
#[derive(Clone, Copy)]
pub(crate) struct Scan<'a> {
    pub(crate) vectors: &'a Vectors,
    /// Rows of pictures.
    pub(crate) live: &'a RowSet,
    /// Rows that may be found; all if `None`.
    pub(crate) allowed: Option<&'a RowSet>,
    /// The first row that may be found.
    pub(crate) from: usize,
    pub(crate) cpu: Cpu,
    pub(crate) pool: Option<&'a Pool>,
}

/// A row that may be among those wanted.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    row: usize,
    upper: f32,
}

/// The findings of one thread in its chunks.
#[derive(Default)]
struct Partial {
    candidates: Vec<Candidate>,
    lower: LowerBounds,
    moments: Vec<(usize, Moments)>,
}

/// The largest lower bounds so far.
#[derive(Default)]
struct LowerBounds(BinaryHeap<Reverse<OrderedBound>>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct OrderedBound(f32);

impl Eq for OrderedBound {}

impl Ord for OrderedBound {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for OrderedBound {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl LowerBounds {
    /// Takes a lower bound; returns the k-th largest of all that were taken, negative infinity before there are k.
    fn take(&mut self, lower: f32, k: usize) -> f32 {
        if self.0.len() < k {
            self.0.push(Reverse(OrderedBound(lower)));
        } else if let Some(mut smallest) = self.0.peek_mut()
            && smallest.0.0 < lower
        {
            *smallest = Reverse(OrderedBound(lower));
        }
        self.cut(k)
    }

    /// The product below which no row can be among those wanted.
    fn cut_of(&self, wanted: Wanted) -> f32 {
        match wanted {
            Wanted::Best(k) => self.cut(k),
            Wanted::AtLeast(least) => least,
        }
    }

    fn cut(&self, k: usize) -> f32 {
        match self.0.peek() {
            Some(smallest) if self.0.len() == k => smallest.0.0,
            _ if k == 0 => f32::INFINITY,
            _ => f32::NEG_INFINITY,
        }
    }
}

impl Scan<'_> {
    /// Finds the rows that are wanted of a `query` of length 1.
    pub(crate) fn run(&self, query: &[f32], wanted: Wanted) -> Result<Found, Error> {
        let prepared = QuantizedQuery::new(query).ok_or(Error::Query {
            query: format!("{} elements", query.len()),
            reason: "wider than an index can be",
        })?;
        let next = AtomicUsize::new(self.from / CHUNK);
        let partials = Mutex::new(Vec::new());
        Pool::broadcast(self.pool, || {
            let mut partial = Partial::default();
            loop {
                let chunk = next.fetch_add(1, Ordering::Relaxed);
                let start = chunk.saturating_mul(CHUNK);
                if start >= self.vectors.rows() {
                    break;
                }
                self.screen(start, &prepared, wanted, &mut partial);
            }
            partials.lock().unwrap_or_else(PoisonError::into_inner).push(partial);
        });
        let partials = partials.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.second_look(query, wanted, partials)
    }

    /// Screens the rows of a chunk.
    fn screen(&self, start: usize, query: &QuantizedQuery, wanted: Wanted, partial: &mut Partial) {
        let width = query.planes.width();
        let end = self.vectors.rows().min(start + CHUNK);
        let (codes, scales) = (self.vectors.codes(), self.vectors.scales());
        let mut sums = [[0; 2]; BLOCK];
        let mut moments = Moments::default();
        let mut cut = partial.lower.cut_of(wanted);
        for first in (start..end).step_by(BLOCK) {
            let count = BLOCK.min(end - first);
            let sums = &mut sums[..count];
            query.planes.products(self.cpu, &codes[first * width..][..count * width], sums);
            for (i, (&sums, &scale)) in sums.iter().zip(&scales[first..]).enumerate() {
                let row = first + i;
                let Bounds { middle, margin } = query.bounds(sums, scale);
                if !self.live.contains(row) {
                    continue;
                }
                moments.add(Moments {
                    count: 1,
                    sum: f64::from(middle),
                    squares: f64::from(middle) * f64::from(middle),
                });
                let upper = middle + margin;
                if upper < cut || row < self.from || !self.may_be_found(row) {
                    continue;
                }
                partial.candidates.push(Candidate { row, upper });
                if let Wanted::Best(k) = wanted {
                    cut = partial.lower.take(middle - margin, k);
                }
            }
        }
        partial.candidates.retain(|candidate| candidate.upper >= cut);
        partial.moments.push((start, moments));
    }

    fn may_be_found(&self, row: usize) -> bool {
        self.allowed.is_none_or(|allowed| allowed.contains(row))
    }

    /// Multiplies the candidates in full, the most promising first, until no other can be among those wanted.
    fn second_look(
        &self,
        query: &[f32],
        wanted: Wanted,
        partials: Vec<Partial>,
    ) -> Result<Found, Error> {
        let mut candidates = Vec::new();
        let mut parts = Vec::new();
        for partial in partials {
            candidates.extend(partial.candidates);
            parts.extend(partial.moments);
        }
        // In the order of rows, so that the sums are the same however threads shared the work.
        parts.sort_by_key(|(start, _)| *start);
        let mut moments = Moments::default();
        parts.into_iter().for_each(|(_, part)| moments.add(part));

        candidates.sort_by(|a, b| b.upper.total_cmp(&a.upper).then(a.row.cmp(&b.row)));
        let mut rows: Vec<(u64, f64)> = Vec::new();
        let mut lower = LowerBounds::default();
        let mut embedding = Vec::new();
        for Candidate { row, upper } in candidates {
            if upper < lower.cut_of(wanted) {
                break;
            }
            self.vectors.read(row as u64, &mut embedding)?;
            let exact = product(query, &embedding);
            match wanted {
                // Rounded down: a bound that is compared with upper bounds.
                Wanted::Best(k) => {
                    lower.take((exact as f32).next_down(), k);
                }
                Wanted::AtLeast(least) if exact < f64::from(least) => continue,
                Wanted::AtLeast(_) => {}
            }
            rows.push((row as u64, exact));
        }
        rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        if let Wanted::Best(k) = wanted {
            rows.truncate(k);
        }
        Ok(Found { rows, moments })
    }
}
