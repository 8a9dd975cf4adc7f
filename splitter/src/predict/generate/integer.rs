//! Networks that compute with integers: with scales known beforehand (`QLinearConv`), or found anew for each frame (`ConvInteger`).

use super::chain::{Chain, window};
use super::write::int;

/// ONNX's number for floats of 32 bits, as `Cast` takes it.
const TO_FLOAT: u64 = 1;

impl Chain {
    /// A few convolutions and dense layers.
    pub(super) fn integer(&mut self) {
        let is_dynamic = self.once_in(2);
        for _ in 0..2 + self.below(3) {
            if self.side < 6 {
                break;
            }
            let (channels, kernel) = (self.one_of(&[6, 8, 16, 16, 24, 32, 64]), self.one_of(&[1, 3, 3, 5, 5]));
            let stride = if self.side > 64 { 2 } else { 1 };
            let pad = if self.once_in(2) { kernel / 2 } else { 0 };
            if is_dynamic {
                self.found_anew(channels, kernel, stride, pad);
            } else {
                self.known_beforehand(channels, kernel, stride, pad);
            }
            self.one("Relu", &[], Vec::new());
            if self.once_in(2) || self.side > 24 {
                self.pool();
            }
        }
        self.pool_to_8();
        self.flatten();
        for _ in 0..=self.below(3) {
            let out = self.one_of(&[10, 32, 84, 120, 128, 256]);
            if is_dynamic {
                self.dense_found_anew(out);
            } else {
                self.gemm(out);
            }
            self.one("Relu", &[], Vec::new());
        }
    }

    /// To 8 bits, one or two convolutions there, and back.
    fn known_beforehand(&mut self, channels: u64, kernel: u64, stride: u64, pad: u64) {
        let (scale, zero) = (self.filled(&[], 0.05), self.middle());
        self.one("QuantizeLinear", &[scale.clone(), zero.clone()], Vec::new());
        for _ in 0..=self.below(2) {
            let Some(side) = self.room_for(channels, kernel, stride, 1, pad) else {
                break;
            };
            let weights = self.bytes(&[channels, self.channels, kernel, kernel], true);
            let (weight_scale, weight_zero, bias) =
                (self.filled(&[], 0.01), self.zero_point(), self.integer_bias(channels));
            let (a, b) = (scale.clone(), zero.clone());
            let more = [
                a,
                b,
                weights,
                weight_scale,
                weight_zero,
                scale.clone(),
                zero.clone(),
                bias,
            ];
            self.one("QLinearConv", &more, window(kernel, stride, 1, pad));
            (self.channels, self.side) = (channels, side);
        }
        self.one("DequantizeLinear", &[scale, zero], Vec::new());
    }

    fn found_anew(&mut self, channels: u64, kernel: u64, stride: u64, pad: u64) {
        let Some(side) = self.room_for(channels, kernel, stride, 1, pad) else {
            return;
        };
        let weights = self.bytes(&[channels, self.channels, kernel, kernel], false);
        self.product("ConvInteger", weights, window(kernel, stride, 1, pad));
        (self.channels, self.side) = (channels, side);
        let bias = self.weights(&[1, channels, 1, 1]);
        self.one("Add", &[bias], Vec::new());
    }

    fn dense_found_anew(&mut self, out: u64) {
        let weights = self.bytes(&[self.channels, out], false);
        self.product("MatMulInteger", weights, Vec::new());
        let bias = self.weights(&[out]);
        self.one("Add", &[bias], Vec::new());
        self.channels = out;
    }

    /// The range of what comes in, the product of integers, and floats again.
    fn product(&mut self, op: &str, weights: String, attributes: Vec<crate::onnx::proto::AttributeProto>) {
        let endings = ["_quantised", "_scale", "_zero_point"];
        let [x, x_scale, x_zero] = self.nodes("DynamicQuantizeLinear", vec![self.value.clone()], Vec::new(), endings);
        let (weight_scale, weight_zero) = (self.filled(&[], 0.01), self.middle());
        let scale = self.node("Mul", vec![x_scale, weight_scale], Vec::new());
        let sums = self.node(op, vec![x, weights, x_zero, weight_zero], attributes);
        let floats = self.node("Cast", vec![sums], vec![int("to", TO_FLOAT)]);
        self.value = self.node("Mul", vec![floats, scale], Vec::new());
    }
}
