//! What a device has: a function of the seed and its number, made when it is needed.

use dunlin_protocol::rng::Rng;

use super::scenario::Scenario;

/// Streams of the seed that belong to devices' data.
const DATA: u64 = 1 << 40;

/// The generator of a device's data.
pub(super) fn rng(scenario: &Scenario, device: u32) -> Rng {
    Rng::for_stream(scenario.seed, DATA + u64::from(device))
}

/// Windows of `device`: even on a logarithmic scale from `windows / (1 + skew)` to
/// `windows * (1 + skew)`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn quantity(scenario: &Scenario, device: u32) -> u32 {
    let learning = &scenario.learning;
    if learning.quantity_skew == 0.0 || learning.windows == 0 {
        return learning.windows;
    }
    let luck = f64::from(rng(scenario, device).uniform(-1.0, 1.0));
    let factor = libm::pow(1.0 + learning.quantity_skew, luck);
    ((f64::from(learning.windows) * factor) as u32).max(1)
}

/// Shares of `classes` classes on a device: even, or drawn from a Dirichlet distribution with the
/// concentration `alpha` (Hsu et al. 2019, arXiv:1909.06335).
pub(super) fn label_shares(rng: &mut Rng, classes: usize, alpha: f64) -> Vec<f64> {
    if alpha <= 0.0 {
        return vec![1.0 / classes as f64; classes];
    }
    let draws: Vec<f64> = (0..classes).map(|_| gamma(rng, alpha)).collect();
    let sum: f64 = draws.iter().sum();
    if sum < f64::MIN_POSITIVE {
        // So uneven that numbers cannot say it: one class has all.
        let only = rng.below(classes);
        return (0..classes).map(|class| f64::from(u8::from(class == only))).collect();
    }
    draws.iter().map(|draw| draw / sum).collect()
}

/// A class by these shares.
pub(super) fn draw_label(rng: &mut Rng, shares: &[f64]) -> u16 {
    let mut luck = f64::from(rng.unit_f32());
    for (class, share) in (0..).zip(shares) {
        if luck < *share {
            return class;
        }
        luck -= share;
    }
    u16::try_from(shares.len().saturating_sub(1)).unwrap_or(0)
}

/// A number from the gamma distribution of this shape and scale 1 (Marsaglia and Tsang, 2000).
fn gamma(rng: &mut Rng, shape: f64) -> f64 {
    if shape < 1.0 {
        let boost = libm::pow(1.0 - f64::from(rng.unit_f32()), 1.0 / shape);
        return gamma(rng, shape + 1.0) * boost;
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / libm::sqrt(9.0 * d);
    loop {
        let x = f64::from(rng.normal());
        let v = libm::pow(1.0 + c * x, 3.0);
        let u = 1.0 - f64::from(rng.unit_f32());
        if v > 0.0 && libm::log(u) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dirichlet_shares_add_up_and_have_the_spread_of_their_concentration() {
        let mut rng = Rng::new(3);
        let mut spread = |alpha: f64| {
            let square: f64 = (0..2000)
                .map(|_| {
                    let shares = label_shares(&mut rng, 5, alpha);
                    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                    (shares[0] - 0.2).powi(2)
                })
                .sum();
            square / 2000.0
        };
        // Variance of one share: (1/5)(4/5) / (5 alpha + 1).
        for alpha in [0.1, 1.0, 10.0] {
            let (found, expected) = (spread(alpha), 0.16 / (5.0 * alpha + 1.0));
            assert!((found / expected - 1.0).abs() < 0.15, "{alpha}: {found} for {expected}");
        }
        assert_eq!(label_shares(&mut rng, 4, 0.0), [0.25; 4]);
        let mut owners = [0; 4];
        for _ in 0..1000 {
            let shares = label_shares(&mut rng, 4, 1e-5);
            owners[usize::from(draw_label(&mut rng, &shares))] += 1;
        }
        assert!(owners.iter().all(|count| (180..320).contains(count)), "{owners:?}");
    }
}
