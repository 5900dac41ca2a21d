//! Attention in f32: scores, softmax and weighted sum of values, one head at a time.
//!
//! Many query positions go through packed keys and values in tiles; a few, as in decoding, read the rows where
//! they lie, unless they were packed for all steps.

use std::ops::Range;

use crate::{
    attention_input::{AttentionInput, AttentionShape, KeyValues},
    disjoint::DisjointMut,
    dispatch::Cpu,
    f32_product::f32_products,
    isa::{Isa, MAX_F32_ROWS, Operation},
    lanes::{LANES, Lanes},
    linear::even_tiles,
    math::exp,
    packed_keys::{pack_key_rows, pack_value_rows},
    work_queue::WorkQueue,
};

/// One attention, that any number of threads work on, head by head.
pub struct Attention<'a> {
    cpu: Cpu,
    input: AttentionInput<'a>,
    output: DisjointMut<'a, f32>,
    queue: WorkQueue,
}

/// The least query positions for which packing a head's keys and values pays.
const MIN_QUERIES_TO_PACK: usize = 4;

impl<'a> Attention<'a> {
    /// Prepares an attention with the output `[batch, queries, heads × head_width]`.
    ///
    /// Returns `None` if the tensors do not have the shape.
    #[must_use]
    pub fn new(cpu: Cpu, input: AttentionInput<'a>, output: &'a mut [f32]) -> Option<Self> {
        let AttentionShape { batch, heads, .. } = input.shape;
        let fits = input.fits() && Some(output.len()) == input.shape.output_length();
        fits.then(|| Self {
            cpu,
            input,
            output: DisjointMut::new(output),
            queue: WorkQueue::new(if input.shares_keys() { heads } else { batch * heads }, 1),
        })
    }

    /// Works until no head is left. The output is complete when all threads have returned.
    pub fn work(&self) {
        self.cpu.run(Work(self));
    }
}

struct Work<'a, 'b>(&'b Attention<'a>);

/// Buffers that one thread reuses from head to head.
#[derive(Default)]
struct Scratch<'a> {
    /// Key rows of a head.
    key_rows: Vec<&'a [f32]>,
    /// Value rows of a head.
    value_rows: Vec<&'a [f32]>,
    /// Keys in panels of sixteen, `[head_width, 16]` each.
    keys: Vec<f32>,
    /// Values in panels of sixteen elements, `[keys, 16]` each.
    values: Vec<f32>,
    /// Scores of a tile, `[queries, keys padded to sixteen]`.
    scores: Vec<f32>,
}

impl Operation for Work<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let attention = self.0;
        let AttentionInput { shape, key_values, .. } = attention.input;
        let few = match key_values {
            KeyValues::Rows { .. } => shape.queries < MIN_QUERIES_TO_PACK,
            KeyValues::Cached { .. } => true,
            KeyValues::Packed(_) => false,
        };
        let mut scratch = Scratch::default();
        while let Some(pieces) = attention.queue.take() {
            for piece in pieces {
                let (group, head) = (piece / shape.heads, piece % shape.heads);
                let batches = match attention.input.shares_keys() {
                    true => 0..shape.batch,
                    false => group..group + 1,
                };
                if few {
                    attention.few_queries(isa.lanes(), batches, head, &mut scratch);
                } else {
                    attention.many_queries(isa, batches, head, &mut scratch);
                }
            }
        }
    }
}

impl<'a> Attention<'a> {
    /// Computes all query positions of `batches`, which share the keys of the first of them.
    #[inline(always)]
    fn few_queries<'s, L: Lanes>(
        &'s self,
        lanes: L,
        batches: Range<usize>,
        head: usize,
        scratch: &mut Scratch<'s>,
    ) {
        let shape = self.input.shape;
        self.read_rows(batches.start, head, scratch);
        scratch.scores.resize(shape.keys, 0.0);
        for (batch, query) in batches.flat_map(|b| (0..shape.queries).map(move |q| (b, q))) {
            let row = self.input.queries.head(batch, query, head, shape.head_width);
            for (score, key) in scratch.scores.iter_mut().zip(&scratch.key_rows) {
                *score = dot(lanes, row, key);
            }
            let factor = self.softmax(lanes, batch, head, query, &mut scratch.scores);
            let factor = lanes.splat(factor);
            for start in (0..shape.head_width).step_by(AT_ONCE * LANES) {
                let width = (shape.head_width - start).min(AT_ONCE * LANES);
                let mixed = mix(lanes, &scratch.scores, &scratch.value_rows, start..start + width);
                for (i, at) in (start..start + width).step_by(LANES).enumerate() {
                    let part = at..(at + LANES).min(shape.head_width);
                    self.write(lanes, batch, query, head, part, lanes.mul(mixed[i], factor));
                }
            }
        }
    }

    /// Computes all query positions of `batches`, which share the keys of the first of them, in tiles.
    #[inline(always)]
    fn many_queries<'s, I: Isa>(
        &'s self,
        isa: I,
        batches: Range<usize>,
        head: usize,
        scratch: &mut Scratch<'s>,
    ) {
        let (lanes, shape) = (isa.lanes(), self.input.shape);
        let packed = match self.input.key_values {
            KeyValues::Packed(packed) => packed.head(head, shape.keys, shape.head_width),
            _ => {
                self.read_rows(batches.start, head, scratch);
                self.pack(scratch);
                [&scratch.keys[..], &scratch.values[..]]
            }
        };
        let padded = shape.keys.next_multiple_of(LANES);
        scratch.scores.resize(I::F32_ROWS * padded, 0.0);
        let scores = &mut scratch.scores;
        let position = |i: usize| (batches.start + i / shape.queries, i % shape.queries);
        for (start, count) in even_tiles(batches.len() * shape.queries, I::F32_ROWS) {
            let mut rows: [&[f32]; MAX_F32_ROWS] = Default::default();
            for (r, row) in rows[..count].iter_mut().enumerate() {
                let (batch, query) = position(start + r);
                *row = self.input.queries.head(batch, query, head, shape.head_width);
            }
            let panels = packed[0].chunks_exact(shape.head_width * LANES);
            for (panel, keys) in panels.zip((0..padded).step_by(LANES)) {
                let sums = f32_products(lanes, &rows[..count], panel, shape.head_width);
                for (r, &sum) in sums[..count].iter().enumerate() {
                    lanes.store(sum, &mut scores[r * padded + keys..]);
                }
            }
            let mut factors = [0.0; MAX_F32_ROWS];
            for (r, factor) in factors[..count].iter_mut().enumerate() {
                let (batch, query) = position(start + r);
                let scores = &mut scores[r * padded..][..shape.keys];
                *factor = self.softmax(lanes, batch, head, query, scores);
            }
            let mut rows: [&[f32]; MAX_F32_ROWS] = Default::default();
            for (r, row) in rows[..count].iter_mut().enumerate() {
                *row = &scores[r * padded..][..shape.keys];
            }
            let panels = packed[1].chunks_exact(shape.keys * LANES);
            for (panel, first) in panels.zip((0..shape.head_width).step_by(LANES)) {
                let part = first..(first + LANES).min(shape.head_width);
                let mixes = f32_products(lanes, &rows[..count], panel, shape.keys);
                for (r, &mixed) in mixes[..count].iter().enumerate() {
                    let (batch, query) = position(start + r);
                    let mixed = lanes.mul(mixed, lanes.splat(factors[r]));
                    self.write(lanes, batch, query, head, part.clone(), mixed);
                }
            }
        }
    }

    /// The softmax of a query's scores without its division: replaces them by e^(score - highest) and returns the factor that
    /// makes them add up to 1.
    #[inline(always)]
    fn softmax<L: Lanes>(
        &self,
        lanes: L,
        batch: usize,
        head: usize,
        query: usize,
        scores: &mut [f32],
    ) -> f32 {
        let scale = lanes.splat(self.input.scale);
        let mut highest = lanes.splat(f32::NEG_INFINITY);
        let mask = self.input.mask.map(|mask| mask.row(batch, head, query, scores.len()));
        for (i, part) in scores.chunks_mut(LANES).enumerate() {
            let score = lanes.load_part(part, f32::NEG_INFINITY);
            let added = match mask {
                Some(mask) => lanes.load_part(&mask[i * LANES..i * LANES + part.len()], 0.0),
                None => lanes.splat(0.0),
            };
            let score = lanes.mul_add(score, scale, added);
            highest = lanes.max(score, highest);
            lanes.store_part(score, part);
        }
        let highest = lanes.splat(lanes.largest(highest));
        let mut total = lanes.splat(0.0);
        for part in scores.chunks_mut(LANES) {
            let score = lanes.load_part(part, f32::NEG_INFINITY);
            lanes.store_part(exp(lanes, lanes.sub(score, highest)), part);
            total = lanes.add(lanes.load_part(part, 0.0), total);
        }
        1.0 / lanes.sum(total)
    }

    fn read_rows<'s>(&'s self, batch: usize, head: usize, scratch: &mut Scratch<'s>) {
        scratch.key_rows.clear();
        scratch.value_rows.clear();
        for [key, value] in self.input.rows(batch, head) {
            scratch.key_rows.push(key);
            scratch.value_rows.push(value);
        }
    }

    fn pack(&self, scratch: &mut Scratch<'_>) {
        let AttentionShape { head_width, keys, .. } = self.input.shape;
        scratch.keys.resize(keys.next_multiple_of(LANES) * head_width, 0.0);
        scratch.values.resize(head_width.next_multiple_of(LANES) * keys, 0.0);
        pack_key_rows(&scratch.key_rows, head_width, &mut scratch.keys);
        pack_value_rows(&scratch.value_rows, &mut scratch.values);
    }

    #[inline(always)]
    fn write<L: Lanes>(
        &self,
        lanes: L,
        batch: usize,
        query: usize,
        head: usize,
        part: Range<usize>,
        mixed: L::F32,
    ) {
        let AttentionShape { heads, head_width, queries, .. } = self.input.shape;
        let at = ((batch * queries + query) * heads + head) * head_width + part.start;
        // SAFETY: the queue gives out a head of a batch once, and no other head has these elements of the output.
        lanes.store_part(mixed, unsafe { self.output.slice_mut(at, part.len()) });
    }
}

/// Vectors of a value row that are summed at once.
const AT_ONCE: usize = 4;

/// The sum of the elements `part` of the value rows, each row times its score.
#[inline(always)]
fn mix<L: Lanes>(
    lanes: L,
    scores: &[f32],
    rows: &[&[f32]],
    part: Range<usize>,
) -> [L::F32; AT_ONCE] {
    let mut mixed = [lanes.splat(0.0); AT_ONCE];
    if part.len() == AT_ONCE * LANES {
        for (&score, value) in scores.iter().zip(rows) {
            let (score, value) = (lanes.splat(score), &value[part.clone()]);
            for i in 0..AT_ONCE {
                mixed[i] = lanes.mul_add(score, lanes.load(&value[i * LANES..]), mixed[i]);
            }
        }
        return mixed;
    }
    for (&score, value) in scores.iter().zip(rows) {
        let score = lanes.splat(score);
        for (mixed, elements) in mixed.iter_mut().zip(value[part.clone()].chunks(LANES)) {
            *mixed = lanes.mul_add(score, lanes.load_part(elements, 0.0), *mixed);
        }
    }
    mixed
}

#[inline(always)]
fn dot<L: Lanes>(lanes: L, a: &[f32], b: &[f32]) -> f32 {
    let mut total = lanes.splat(0.0);
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        total = lanes.mul_add(lanes.load_part(a, 0.0), lanes.load_part(b, 0.0), total);
    }
    lanes.sum(total)
}
