//! Keys by their rank: the `n`th as often as `1 / n^skew`, so a skew of 0 makes all alike.

pub(super) struct Zipf {
    /// The share of the keys up to each.
    shares: Vec<f64>,
}

impl Zipf {
    pub(super) fn new(keys: u32, skew: f64) -> Self {
        let mut sum = 0.0;
        let mut shares: Vec<f64> = (1..=keys.max(1))
            .map(|rank| {
                sum += f64::from(rank).powf(-skew);
                sum
            })
            .collect();
        shares.iter_mut().for_each(|share| *share /= sum);
        Self { shares }
    }

    /// The key for a random number.
    pub(super) fn draw(&self, random: u64) -> usize {
        // The upper 53 bits are what a fraction holds.
        let point = (random >> 11) as f64 / (1_u64 << 53) as f64;
        self.shares.partition_point(|share| *share <= point).min(self.shares.len() - 1)
    }
}
