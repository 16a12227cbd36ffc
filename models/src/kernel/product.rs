//! Products of small matrices on whatever vector unit the processor has.

use alloc::vec::Vec;

use pulp::{NullaryFnOnce, Simd};

/// A matrix of `[rows, depth]` whose element `(row, k)` lies at `row * row_step + k * depth_step`;
/// one of the steps is 1.
///
/// Rows may overlap: a window `[time, channels]` with `row_step = channels` is the matrix of all
/// its pieces that a convolution looks at, without a copy.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    pub(super) values: &'a [f32],
    pub(super) row_step: usize,
    pub(super) depth_step: usize,
}

impl Strided<'_> {
    #[inline(always)]
    fn skip_rows(self, row: usize) -> Self {
        Self { values: &self.values[row * self.row_step..], ..self }
    }
}

/// `out += left * right`.
///
/// `left`: `[rows, depth]`. `right`: `[depth, width]` and `out`: `[rows, width]`, in whole vectors,
/// rows first.
#[inline(always)]
pub(super) fn add_product<S: Simd>(
    simd: S,
    left: Strided<'_>,
    right: &[S::f32s],
    out: &mut [S::f32s],
    width: usize,
) {
    // Sums of 12 vectors hide the latency of a multiply-add and fit 16 registers.
    let mut from = 0;
    while width - from >= 3 {
        simd.vectorize(Panel::<S, 4, 3> { simd, left, right, out, width, from });
        from += 3;
    }
    match width - from {
        2 => simd.vectorize(Panel::<S, 6, 2> { simd, left, right, out, width, from }),
        1 => simd.vectorize(Panel::<S, 8, 1> { simd, left, right, out, width, from }),
        _ => {}
    }
}

/// Columns `from..from + COLUMNS` of a product, `ROWS` rows at a time.
///
/// Inside, neither closures nor chains of iterators: what the compiler does not inline of them is
/// compiled for the oldest processor.
struct Panel<'a, S: Simd, const ROWS: usize, const COLUMNS: usize> {
    simd: S,
    left: Strided<'a>,
    right: &'a [S::f32s],
    out: &'a mut [S::f32s],
    width: usize,
    from: usize,
}

impl<S: Simd, const ROWS: usize, const COLUMNS: usize> NullaryFnOnce
    for Panel<'_, S, ROWS, COLUMNS>
{
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, left, right, out, width, from } = self;
        let mut columns = Vec::new();
        let right = if width == COLUMNS {
            right
        } else {
            columns.reserve_exact(right.len() / width * COLUMNS);
            for row in right.chunks_exact(width) {
                columns.extend_from_slice(&row[from..from + COLUMNS]);
            }
            &columns
        };
        let right = right.as_chunks::<COLUMNS>().0;
        let rows = out.len() / width;
        let mut row = 0;
        while rows - row >= ROWS {
            let out = &mut out[row * width + from..];
            tile::<S, ROWS, COLUMNS>(simd, left.skip_rows(row), right, out, width);
            row += ROWS;
        }
        if rows - row >= 4 {
            let out = &mut out[row * width + from..];
            tile::<S, 4, COLUMNS>(simd, left.skip_rows(row), right, out, width);
            row += 4;
        }
        if rows - row >= 2 {
            let out = &mut out[row * width + from..];
            tile::<S, 2, COLUMNS>(simd, left.skip_rows(row), right, out, width);
            row += 2;
        }
        while row < rows {
            let out = &mut out[row * width + from..];
            tile::<S, 1, COLUMNS>(simd, left.skip_rows(row), right, out, width);
            row += 1;
        }
    }
}

/// The first `ROWS` rows of a product; their sums stay in registers.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn tile<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    left: Strided<'_>,
    right: &[[S::f32s; COLUMNS]],
    out: &mut [S::f32s],
    width: usize,
) {
    let mut sums = [[simd.splat_f32s(0.0); COLUMNS]; ROWS];
    let Strided { values, row_step, depth_step } = left;
    let depth = right.len();
    if depth_step == 1 {
        // All slices have the same length, so that no index needs a check.
        let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
        for r in 0..ROWS {
            rows[r] = &values[r * row_step..][..depth];
        }
        for k in 0..depth {
            let mut factors = [0.0; ROWS];
            for r in 0..ROWS {
                factors[r] = rows[r][k];
            }
            add(simd, &factors, &right[k], &mut sums);
        }
    } else {
        for k in 0..depth {
            if let Some(factors) = values[k * depth_step..].first_chunk::<ROWS>() {
                add(simd, factors, &right[k], &mut sums);
            }
        }
    }
    for r in 0..ROWS {
        let out = &mut out[r * width..][..COLUMNS];
        for c in 0..COLUMNS {
            out[c] = simd.add_f32s(out[c], sums[r][c]);
        }
    }
}

/// `sums += factors * right`, for one `k` of the depth.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
fn add<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    factors: &[f32; ROWS],
    right: &[S::f32s; COLUMNS],
    sums: &mut [[S::f32s; COLUMNS]; ROWS],
) {
    for r in 0..ROWS {
        let factor = simd.splat_f32s(factors[r]);
        for c in 0..COLUMNS {
            sums[r][c] = simd.mul_add_e_f32s(factor, right[c], sums[r][c]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use dunlin_protocol::rng::Rng;
    use pulp::{Arch, WithSimd};

    /// Multiplies by `add_product` on this processor; `width` counts values.
    struct Product<'a> {
        left: Strided<'a>,
        right: &'a [f32],
        rows: usize,
        columns: usize,
    }

    impl WithSimd for Product<'_> {
        type Output = Vec<f32>;

        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let padded = self.columns.next_multiple_of(S::F32_LANES);
            let mut right = vec![0.0; self.right.len() / self.columns * padded];
            for (wide, row) in right.chunks_mut(padded).zip(self.right.chunks(self.columns)) {
                wide[..self.columns].copy_from_slice(row);
            }
            let mut out = vec![1.0; self.rows * padded];
            let width = padded / S::F32_LANES;
            let vectors = S::as_mut_simd_f32s(&mut out).0;
            add_product(simd, self.left, S::as_simd_f32s(&right).0, vectors, width);
            out.chunks(padded).flat_map(|row| row[..self.columns].to_vec()).collect()
        }
    }

    #[test]
    fn products_of_all_small_sizes_are_right_for_both_ways_of_lying() {
        let mut rng = Rng::new(1);
        for rows in 1..18 {
            for columns in [1, 3, 8, 9, 16, 24, 31, 64] {
                for (depth, overlap) in [(1, 0), (5, 2), (7, 0)] {
                    let right: Vec<f32> = (0..depth * columns).map(|_| rng.normal()).collect();
                    let values: Vec<f32> = (0..rows * depth).map(|_| rng.normal()).collect();
                    let by_row = (depth - overlap, 1);
                    for (row_step, depth_step) in [by_row, (1, rows)] {
                        let left = Strided { values: &values, row_step, depth_step };
                        let product = Product { left, right: &right, rows, columns };
                        let found = Arch::new().dispatch(product);
                        for (at, &found) in found.iter().enumerate() {
                            let (row, column) = (at / columns, at % columns);
                            let term = |k| {
                                let left: f32 = values[row * row_step + k * depth_step];
                                left * right[k * columns + column]
                            };
                            let expected = 1.0 + (0..depth).map(term).sum::<f32>();
                            assert!((found - expected).abs() < 1e-4, "{rows} {columns} {depth}");
                        }
                    }
                }
            }
        }
    }
}
