//! Products of small matrices on whatever vector unit the processor has.

use pulp::Simd;

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
        panel::<S, 4, 3>(simd, left, right, out, width, from);
        from += 3;
    }
    match width - from {
        2 => panel::<S, 6, 2>(simd, left, right, out, width, from),
        1 => panel::<S, 8, 1>(simd, left, right, out, width, from),
        _ => {}
    }
}

/// Columns `from..from + COLUMNS` of the product, `ROWS` rows at a time.
#[inline(always)]
fn panel<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    left: Strided<'_>,
    right: &[S::f32s],
    out: &mut [S::f32s],
    width: usize,
    from: usize,
) {
    let rows = out.len() / width;
    let mut row = 0;
    while rows - row >= ROWS {
        tile::<S, ROWS, COLUMNS>(simd, left, right, out, width, [row, from]);
        row += ROWS;
    }
    if rows - row >= 4 {
        tile::<S, 4, COLUMNS>(simd, left, right, out, width, [row, from]);
        row += 4;
    }
    if rows - row >= 2 {
        tile::<S, 2, COLUMNS>(simd, left, right, out, width, [row, from]);
        row += 2;
    }
    while row < rows {
        tile::<S, 1, COLUMNS>(simd, left, right, out, width, [row, from]);
        row += 1;
    }
}

/// One block of the product at `[row, from]` whose sums stay in registers.
///
/// No closures here: they would be compiled for the oldest processor, not for this one.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    left: Strided<'_>,
    right: &[S::f32s],
    out: &mut [S::f32s],
    width: usize,
    [row, from]: [usize; 2],
) {
    let mut sums = [[simd.splat_f32s(0.0); COLUMNS]; ROWS];
    let right = right.chunks_exact(width);
    let values = &left.values[row * left.row_step..];
    if left.depth_step == 1 {
        let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
        for (r, row) in rows.iter_mut().enumerate() {
            *row = &values[r * left.row_step..][..right.len()];
        }
        for (k, right) in right.enumerate() {
            let mut factors = [0.0; ROWS];
            for (factor, row) in factors.iter_mut().zip(rows) {
                *factor = row[k];
            }
            add(simd, &factors, &right[from..from + COLUMNS], &mut sums);
        }
    } else {
        for (k, right) in right.enumerate() {
            let factors = &values[k * left.depth_step..][..ROWS];
            add(simd, factors, &right[from..from + COLUMNS], &mut sums);
        }
    }
    for (out, sums) in out[row * width..].chunks_mut(width).zip(&sums) {
        for (out, &sum) in out[from..from + COLUMNS].iter_mut().zip(sums) {
            *out = simd.add_f32s(*out, sum);
        }
    }
}

/// `sums += factors * right`, for one `k` of the depth.
#[inline(always)]
fn add<S: Simd, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    factors: &[f32],
    right: &[S::f32s],
    sums: &mut [[S::f32s; COLUMNS]; ROWS],
) {
    for (sums, &factor) in sums.iter_mut().zip(factors) {
        let factor = simd.splat_f32s(factor);
        for (sum, &right) in sums.iter_mut().zip(right) {
            *sum = simd.mul_add_e_f32s(factor, right, *sum);
        }
    }
}
