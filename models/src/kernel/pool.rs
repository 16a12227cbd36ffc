//! Maximum of groups of samples with ReLU, and the way back.

use pulp::{NullaryFnOnce, Simd};

/// Mark of a value to which no sample belongs: ReLU cut it off.
const CUT: f32 = -1.0;

/// Keeps the largest value of each group of samples, at least `floor`, and which sample it was.
pub(super) struct Pool<'a, S: Simd> {
    pub(super) simd: S,
    /// Samples in a group.
    pub(super) size: usize,
    /// Vectors in a sample.
    pub(super) width: usize,
    pub(super) floor: f32,
    /// `[steps, width]`; a rest behind the last whole group is not looked at.
    pub(super) steps: &'a [S::f32s],
    /// The largest values, `[groups, width]`.
    pub(super) values: &'a mut [S::f32s],
    /// `[groups, width]`: numbers from 0 within the group, or [`CUT`].
    pub(super) argmax: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for Pool<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, size, width, floor, steps, values, argmax } = self;
        let mut at = 0;
        for group in steps.chunks_exact(size * width) {
            for column in 0..width {
                let (mut largest, mut place) = (simd.splat_f32s(floor), simd.splat_f32s(CUT));
                let mut number = simd.splat_f32s(0.0);
                for row in group.chunks_exact(width) {
                    let larger = simd.less_than_f32s(largest, row[column]);
                    largest = select(simd, larger, row[column], largest);
                    place = select(simd, larger, number, place);
                    number = simd.add_f32s(number, simd.splat_f32s(1.0));
                }
                values[at] = largest;
                argmax[at] = place;
                at += 1;
            }
        }
    }
}

/// Gives each gradient back to the step that its value came from.
pub(super) struct Unpool<'a, S: Simd> {
    pub(super) simd: S,
    /// Samples in a group, as [`Pool`] had it.
    pub(super) size: usize,
    /// Gradient of the loss at each largest value, `[groups, width]`.
    pub(super) gradient: &'a [S::f32s],
    /// What [`Pool`] wrote as its `argmax`, `[groups, width]`.
    pub(super) argmax: &'a [S::f32s],
    /// `[steps, width]`; becomes zero where no value came from, a rest stays as it is.
    pub(super) steps: &'a mut [S::f32s],
    /// `[width]`; the sum of the gradients is added.
    pub(super) bias: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for Unpool<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, size, gradient, argmax, steps, bias } = self;
        let (width, zero, cut) = (bias.len(), simd.splat_f32s(0.0), simd.splat_f32s(CUT));
        let mut at = 0;
        for group in steps.chunks_exact_mut(size * width) {
            for column in 0..width {
                let (gradient, place) = (gradient[at], argmax[at]);
                let kept = select(simd, simd.equal_f32s(place, cut), zero, gradient);
                bias[column] = simd.add_f32s(bias[column], kept);
                let mut number = zero;
                for row in group.chunks_exact_mut(width) {
                    row[column] = select(simd, simd.equal_f32s(place, number), gradient, zero);
                    number = simd.add_f32s(number, simd.splat_f32s(1.0));
                }
                at += 1;
            }
        }
    }
}

/// `yes` where the mask is set, `no` elsewhere. `Simd::select_f32s` is not always inlined.
#[inline(always)]
fn select<S: Simd>(simd: S, mask: S::m32s, yes: S::f32s, no: S::f32s) -> S::f32s {
    pulp::cast(simd.select_u32s(mask, pulp::cast(yes), pulp::cast(no)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use pulp::{Arch, WithSimd};

    /// Pools one column of `steps` forward, and gives gradients of 1, 2, ... back.
    struct ThereAndBack<'a> {
        size: usize,
        floor: f32,
        steps: &'a [f32],
    }

    impl WithSimd for ThereAndBack<'_> {
        type Output = (Vec<f32>, Vec<f32>, f32);

        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let Self { size, floor, steps } = self;
            let vector = |value: &f32| simd.splat_f32s(*value);
            let first = |vector: &S::f32s| simd.reduce_max_f32s(*vector);
            let mut rows: Vec<S::f32s> = steps.iter().map(vector).collect();
            let groups = steps.len() / size;
            let mut values = vec![simd.splat_f32s(9.0); groups];
            let mut argmax = values.clone();
            simd.vectorize(Pool {
                simd,
                size,
                width: 1,
                floor,
                steps: &rows,
                values: &mut values,
                argmax: &mut argmax,
            });
            let gradients: Vec<f32> = (1u8..).take(groups).map(f32::from).collect();
            let gradient: Vec<S::f32s> = gradients.iter().map(vector).collect();
            rows.fill(simd.splat_f32s(0.0));
            let mut bias = [simd.splat_f32s(0.0)];
            simd.vectorize(Unpool {
                simd,
                size,
                gradient: &gradient,
                argmax: &argmax,
                steps: &mut rows,
                bias: &mut bias,
            });
            (values.iter().map(first).collect(), rows.iter().map(first).collect(), first(&bias[0]))
        }
    }

    fn there_and_back(size: usize, floor: f32, steps: &[f32]) -> (Vec<f32>, Vec<f32>, f32) {
        Arch::new().dispatch(ThereAndBack { size, floor, steps })
    }

    #[test]
    fn each_gradient_returns_to_the_first_of_the_largest_and_a_rest_gets_none() {
        let (values, gradients, bias) =
            there_and_back(2, f32::NEG_INFINITY, &[1.0, 3.0, -5.0, -5.0, 9.0]);
        assert_eq!(values, [3.0, -5.0]);
        assert_eq!(gradients, [0.0, 1.0, 2.0, 0.0, 0.0]);
        assert_eq!(bias, 3.0);
    }

    #[test]
    fn relu_cuts_off_what_is_not_above_zero_and_its_gradient() {
        let (values, gradients, bias) = there_and_back(1, 0.0, &[-1.0, 0.0, 2.0]);
        assert_eq!(values, [0.0, 0.0, 2.0]);
        assert_eq!(gradients, [0.0, 0.0, 3.0]);
        assert_eq!(bias, 3.0);
    }
}
