//! Random numbers from a seed, the same on every machine: a failing fault test prints its seed and can be run again.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, 0 where `bound` is 0.
    #[allow(clippy::cast_possible_truncation, reason = "the remainder is below a usize")]
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// A byte.
    #[allow(clippy::cast_possible_truncation, reason = "any eight bits will do")]
    pub fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Puts things in a random order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

/// The seed of a fault test: `KERF_TEST_SEED`, else `default`; printed, so that a failure can be run again.
///
/// # Panics
/// When the variable is no number.
pub fn seed(default: u64) -> u64 {
    let seed =
        std::env::var("KERF_TEST_SEED").map_or(default, |text| text.parse().expect("KERF_TEST_SEED is a number"));
    println!("KERF_TEST_SEED={seed}");
    seed
}

/// How much of a soak a fault test does: `KERF_SOAK` times as much as in every run, by default once.
///
/// # Panics
/// When the variable is no number.
pub fn soak() -> u64 {
    std::env::var("KERF_SOAK").map_or(1, |text| text.parse().expect("KERF_SOAK is a number"))
}
