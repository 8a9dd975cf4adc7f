//! Networks for digits: a few convolutions without padding, then dense layers; half of them with values of 8 bits.

use super::chain::Chain;

impl Chain {
    /// Digits' networks: convolutions without padding, dense layers; half of them with weights and values of 8 bits.
    pub(super) fn small(&mut self) {
        let is_quantised = self.once_in(2);
        self.channels_to(&[6, 8, 16, 20, 32], is_quantised);
        self.pool();
        self.channels_to(&[16, 32, 50, 64], is_quantised);
        self.pool();
        self.flatten();
        for _ in 0..2 {
            let out = self.one_of(&[32, 84, 120, 128, 256]);
            self.dense_layer(out, is_quantised);
        }
    }

    fn channels_to(&mut self, choices: &[u64], is_quantised: bool) {
        let (channels, kernel) = (self.one_of(choices), self.one_of(&[3, 3, 5]));
        let stride = if self.side > 64 { 2 } else { 1 };
        self.quantised(is_quantised);
        self.padded(channels, kernel, stride, 1, 0);
        self.one("Relu", &[], Vec::new());
        self.quantised(is_quantised);
    }

    fn dense_layer(&mut self, out: u64, is_quantised: bool) {
        self.gemm(out);
        self.one("Relu", &[], Vec::new());
        self.quantised(is_quantised);
    }

    /// To 8 bits and back, as quantised models say where they lose precision.
    fn quantised(&mut self, is_wanted: bool) {
        if is_wanted {
            let (scale, zero) = (self.filled(&[], 0.05), self.zero_point());
            self.one("QuantizeLinear", &[scale.clone(), zero.clone()], Vec::new());
            self.one("DequantizeLinear", &[scale, zero], Vec::new());
        }
    }
}
