//! Matrix products in single precision, with the same result to the last bit on every machine.
//!
//! Each element of a product is summed in the order of its index, multiplied and added separately (never fused), in
//! blocks of `DEPTH`. Wider vector registers therefore compute more elements at once, not other ones; threads get
//! whole products. A test compares the instruction sets that the machine has.

use fearless_simd::{Level, Simd, dispatch, prelude::*};

use crate::vector;

/// Rows of a tile that are kept in registers.
const ROWS: usize = 6;
/// Columns of the widest tile: two vectors of 16.
const MOST_COLUMNS: usize = 32;
/// Terms that are summed before the sum goes to memory. Part of the result: the order of additions depends on it.
const DEPTH: usize = 256;

/// A matrix inside a slice: element (r, c) is at `r * row_step + c * column_step`.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a> View<'a> {
    /// A matrix whose rows follow each other.
    pub const fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row_step: columns,
            column_step: 1,
        }
    }

    /// A matrix whose rows begin every `row_step` elements.
    pub const fn strided(data: &'a [f32], rows: usize, columns: usize, row_step: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row_step,
            column_step: 1,
        }
    }

    /// Its rows.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The same matrix with rows and columns exchanged.
    #[must_use]
    pub const fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
            ..self
        }
    }

    /// Copies `span` rows from `first` and `depth` columns from `start` so that the values of one column lie side by
    /// side, `width` to a column; missing rows are zero.
    fn pack(self, first: usize, start: usize, depth: usize, width: usize, out: &mut [f32]) {
        let span = width.min(self.rows - first);
        if span < width {
            out.fill(0.0);
        }
        let origin = first * self.row_step + start * self.column_step;
        if self.row_step == 1 {
            for (column, out) in out.chunks_exact_mut(width).take(depth).enumerate() {
                let from = origin + column * self.column_step;
                out[..span].copy_from_slice(&self.data[from..from + span]);
            }
        } else {
            // INVARIANT: views are made with a column step of 1 and only ever transposed, so one of the steps is 1.
            for row in 0..span {
                let from = &self.data[origin + row * self.row_step..][..depth];
                for (out, value) in out.chunks_exact_mut(width).zip(from) {
                    out[row] = *value;
                }
            }
        }
    }
}

/// Whether a product replaces what is there or is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Replace.
    Set,
    /// Add.
    Add,
}

/// Computes products; keeps its buffers between them.
#[derive(Debug, Clone)]
pub struct Products {
    level: Level,
    left: Vec<f32>,
    right: Vec<f32>,
}

impl Default for Products {
    fn default() -> Self {
        Self::at(Level::new())
    }
}

impl Products {
    /// Computes with a given instruction set.
    pub const fn at(level: Level) -> Self {
        Self {
            level,
            left: Vec::new(),
            right: Vec::new(),
        }
    }

    /// `out = a · b`, or `out += a · b`; the rows of `out` begin every `step` elements.
    pub fn multiply(&mut self, a: View<'_>, b: View<'_>, out: &mut [f32], step: usize, store: Store) {
        debug_assert_eq!(a.columns, b.rows, "the inner sizes of a product agree");
        let Self { level, left, right } = self;
        dispatch!(*level, simd => blocks(simd, (a, b), (left, right), out, step, store));
    }
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "compiled once for each instruction set, inside its dispatch"
)]
fn blocks<S: Simd>(
    simd: S,
    (a, b): (View<'_>, View<'_>),
    (left, right): (&mut Vec<f32>, &mut Vec<f32>),
    out: &mut [f32],
    step: usize,
    store: Store,
) {
    let width = 2 * S::f32s::LEN;
    let panels = a.rows.div_ceil(ROWS);
    for start in (0..a.columns).step_by(DEPTH) {
        let depth = DEPTH.min(a.columns - start);
        let add = store == Store::Add || start > 0;
        left.resize(panels * ROWS * depth, 0.0);
        right.resize(width * depth, 0.0);
        for (panel, packed) in left.chunks_exact_mut(ROWS * depth).enumerate() {
            a.pack(panel * ROWS, start, depth, ROWS, packed);
        }
        for first in (0..b.columns).step_by(width) {
            b.transposed().pack(first, start, depth, width, right);
            let columns = width.min(b.columns - first);
            for (panel, packed) in left.chunks_exact(ROWS * depth).enumerate() {
                let rows = ROWS.min(a.rows - panel * ROWS);
                let out = &mut out[panel * ROWS * step + first..];
                tile(simd, packed, right, out, (rows, columns, step, add));
            }
        }
    }
}

/// One tile of [`ROWS`] rows and two vectors, summed in registers.
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "compiled once for each instruction set, inside its dispatch"
)]
fn tile<S: Simd>(
    simd: S,
    left: &[f32],
    right: &[f32],
    out: &mut [f32],
    (rows, columns, step, add): (usize, usize, usize, bool),
) {
    let lanes = S::f32s::LEN;
    let mut sums = [[S::f32s::splat(simd, 0.0); 2]; ROWS];
    for (a, b) in left
        .as_chunks::<ROWS>()
        .0
        .iter()
        .zip(right.chunks_exact(2 * lanes))
    {
        let low = S::f32s::from_slice(simd, &b[..lanes]);
        let high = S::f32s::from_slice(simd, &b[lanes..]);
        for (sum, &factor) in sums.iter_mut().zip(a) {
            sum[0] += low * factor;
            sum[1] += high * factor;
        }
    }
    // The sums leave the registers once, to places known when compiling; only then does the edge matter.
    let mut done = [0.0; ROWS * MOST_COLUMNS];
    for (sum, done) in sums.iter().zip(done.as_chunks_mut::<MOST_COLUMNS>().0) {
        sum[0].store_slice(&mut done[..lanes]);
        sum[1].store_slice(&mut done[lanes..2 * lanes]);
    }
    for (row, done) in done.as_chunks::<MOST_COLUMNS>().0.iter().enumerate().take(rows) {
        let out = &mut out[row * step..][..columns];
        if add {
            vector::add(out, done);
        } else {
            out.copy_from_slice(&done[..columns]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn values(count: usize, stream: u64) -> Vec<f32> {
        let mut random = Random::new(11, stream);
        (0..count).map(|_| random.normal()).collect()
    }

    /// Sums in the documented order.
    fn plainly(a: View<'_>, b: View<'_>, out: &mut [f32], step: usize, store: Store) {
        for r in 0..a.rows {
            for c in 0..b.columns {
                for start in (0..a.columns).step_by(DEPTH) {
                    let mut sum = 0.0;
                    for k in start..a.columns.min(start + DEPTH) {
                        let left = a.data[r * a.row_step + k * a.column_step];
                        sum += b.data[k * b.row_step + c * b.column_step] * left;
                    }
                    let add = store == Store::Add || start > 0;
                    out[r * step + c] = if add { out[r * step + c] + sum } else { sum };
                }
            }
        }
    }

    fn levels() -> Vec<Level> {
        let best = Level::new();
        #[cfg(target_arch = "x86_64")]
        let lower = [best.as_sse2().map(Level::Sse2), best.as_avx2().map(Level::Avx2)];
        #[cfg(not(target_arch = "x86_64"))]
        let lower = [None, None];
        lower.into_iter().flatten().chain([best]).collect()
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits_as_the_plain_sum() {
        for (m, n, k) in [(1, 1, 1), (6, 32, 256), (7, 33, 257), (13, 70, 600), (5, 3, 9)] {
            let (a, b) = (values(m * k, 1), values(n * k, 2));
            let shapes = [
                (View::new(&a, m, k), View::new(&b, k, n)),
                (View::new(&a, m, k), View::new(&b, n, k).transposed()),
                (View::new(&a, k, m).transposed(), View::new(&b, k, n)),
            ];
            for (a, b) in shapes {
                for store in [Store::Set, Store::Add] {
                    let mut expected = values(m * (n + 2), 3);
                    let before = expected.clone();
                    plainly(a, b, &mut expected, n + 2, store);
                    for level in levels() {
                        let mut out = before.clone();
                        Products::at(level).multiply(a, b, &mut out, n + 2, store);
                        let same = out.iter().zip(&expected).all(|(x, y)| x.to_bits() == y.to_bits());
                        assert!(same, "{m}×{n}×{k} {store:?} {level:?}");
                    }
                }
            }
        }
    }
}
