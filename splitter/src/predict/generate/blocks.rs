//! Blocks of convolutional networks, as families of networks put them together.

use super::chain::Chain;
use super::write::int;

impl Chain {
    /// Layers of every sort, one after the other.
    pub(super) fn mixed(&mut self) {
        for _ in 0..14 {
            match self.below(12) {
                0..3 => {
                    let channels = self.one_of(&[8, 16, 24, 32, 64, 96, 144, 192, 320]);
                    self.convolution(channels, 1, 1, 1);
                }
                3..5 => {
                    let (kernel, stride) = (self.one_of(&[3, 3, 5]), self.stride());
                    self.convolution(self.channels, kernel, stride, self.channels);
                }
                5 | 6 => {
                    let (channels, kernel) = (self.one_of(&[8, 16, 32, 48, 64, 128]), self.one_of(&[3, 3, 5, 7]));
                    let stride = self.stride();
                    self.convolution(channels, kernel, stride, 1);
                }
                7 => self.one("Relu", &[], Vec::new()),
                8 => self.pool(),
                9 => self.one("Sigmoid", &[], Vec::new()),
                10 => self.clip(),
                _ => self.with_itself(),
            }
        }
    }

    /// `x + relu(x)`: an addition whose both sides are values.
    fn with_itself(&mut self) {
        let before = self.value.clone();
        self.one("Relu", &[], Vec::new());
        self.one("Add", &[before], Vec::new());
    }

    fn stride(&mut self) -> u64 {
        if self.side >= 4 && self.once_in(3) { 2 } else { 1 }
    }

    /// A first layer that makes a picture smaller.
    fn stem(&mut self) {
        let channels = self.one_of(&[8, 16, 24, 32, 64]);
        let kernel = self.one_of(&[3, 3, 3, 7]);
        let stride = if self.side >= 56 { 2 } else { 1 };
        self.convolution(channels, kernel, stride, 1);
    }

    /// Inverted residuals as in MobileNet and EfficientNet; with hard swish and squeeze-and-excitation as in MobileNetV3.
    pub(super) fn mobile(&mut self, is_third: bool) {
        self.stem();
        self.activation(is_third);
        for _ in 0..12 {
            if self.is_full() {
                break;
            }
            let (before, narrow, side) = (self.value.clone(), self.channels, self.side);
            let wide = narrow * self.one_of(&[1, 3, 4, 6]);
            if wide > narrow && wide <= 1280 && self.convolution(wide, 1, 1, 1) {
                self.batch(is_third);
                self.activation(is_third);
            }
            let (kernel, stride) = (self.one_of(&[3, 3, 5]), self.stride());
            self.convolution(self.channels, kernel, stride, self.channels);
            self.batch(is_third);
            self.activation(is_third);
            if is_third && self.once_in(2) {
                self.squeeze_and_excite();
            }
            let keeps = stride == 1 && self.once_in(2);
            let out = if keeps {
                narrow
            } else {
                self.one_of(&[16, 24, 40, 80, 112, 160, 192, 320])
            };
            if self.convolution(out, 1, 1, 1) && self.channels == narrow && self.side == side {
                self.one("Add", &[before], Vec::new());
            }
        }
        let channels = self.one_of(&[200, 640, 1280]);
        self.convolution(channels, 1, 1, 1);
        self.activation(is_third);
    }

    fn batch(&mut self, is_wanted: bool) {
        if is_wanted && self.once_in(2) {
            self.normalised();
        }
    }

    fn activation(&mut self, is_third: bool) {
        if !is_third {
            return self.clip();
        }
        if self.once_in(2) {
            return self.one("Relu", &[], Vec::new());
        }
        // x · clip(x + 3, 0, 6) ÷ 6
        let x = self.value.clone();
        let (three, six) = (self.filled(&[], 3.0), self.filled(&[], 6.0));
        self.one("Add", &[three], Vec::new());
        self.clip();
        self.one("Mul", &[x], Vec::new());
        self.one("Div", &[six], Vec::new());
    }

    fn squeeze_and_excite(&mut self) {
        let (x, channels, side) = (self.value.clone(), self.channels, self.side);
        self.one("GlobalAveragePool", &[], Vec::new());
        self.side = 1;
        self.convolution((channels / 4).max(1), 1, 1, 1);
        self.one("Relu", &[], Vec::new());
        self.convolution(channels, 1, 1, 1);
        self.one("HardSigmoid", &[], Vec::new());
        self.side = side;
        self.one("Mul", &[x], Vec::new());
    }

    /// Basic and bottleneck blocks as in ResNet.
    pub(super) fn residual(&mut self) {
        self.stem();
        let has_batch = self.once_in(2);
        self.batch_if(has_batch);
        self.one("Relu", &[], Vec::new());
        if self.side >= 56 {
            self.pool();
        }
        for _ in 0..6 {
            if self.is_full() {
                break;
            }
            let grows = self.side >= 8 && self.once_in(2);
            let (before, side, narrow) = (self.value.clone(), self.side, self.channels);
            let channels = if grows { (narrow * 2).min(512) } else { narrow };
            let stride = if grows { 2 } else { 1 };
            let made = if self.once_in(2) {
                self.then_relu(channels, 3, stride, has_batch) & self.convolution(channels, 3, 1, 1)
            } else {
                let inner = (channels / 4).max(8);
                self.then_relu(inner, 1, 1, has_batch)
                    & self.then_relu(inner, 3, stride, has_batch)
                    & self.convolution(channels, 1, 1, 1)
            };
            self.batch_if(has_batch);
            if made && (channels != narrow || stride != 1) {
                let (end, end_side) = (self.value.clone(), self.side);
                (self.value, self.channels, self.side) = (before, narrow, side);
                self.convolution(channels, 1, stride, 1);
                if self.side == end_side && self.channels == channels {
                    self.one("Add", &[end], Vec::new());
                }
            } else if made && self.side == side {
                self.one("Add", &[before], Vec::new());
            }
            self.one("Relu", &[], Vec::new());
        }
    }

    fn batch_if(&mut self, is_wanted: bool) {
        if is_wanted {
            self.normalised();
        }
    }

    fn then_relu(&mut self, channels: u64, kernel: u64, stride: u64, has_batch: bool) -> bool {
        let made = self.convolution(channels, kernel, stride, 1);
        self.batch_if(made && has_batch);
        self.one("Relu", &[], Vec::new());
        made
    }

    /// Many channels on small pictures, as at the end of large networks.
    pub(super) fn wide(&mut self) {
        self.stem();
        while self.side > 14 {
            self.pool();
        }
        let has_batch = self.once_in(2);
        for _ in 0..8 {
            if self.is_full() {
                break;
            }
            let (channels, kernel) = (self.one_of(&[128, 256, 512, 1024, 2048]), self.one_of(&[1, 3]));
            self.then_relu(channels, kernel, 1, has_batch);
        }
    }

    /// Batch normalisation, half of the time with a scale and a shift of its own as Caffe has them.
    fn normalised_and_scaled(&mut self, is_scaled: bool) {
        self.normalised();
        if is_scaled {
            let (scale, shift) = (
                self.filled(&[self.channels, 1, 1], 1.0),
                self.filled(&[self.channels, 1, 1], 0.0),
            );
            self.one("Mul", &[scale], Vec::new());
            self.one("Add", &[shift], Vec::new());
        }
    }

    /// Concatenated layers as in DenseNet.
    pub(super) fn dense(&mut self) {
        self.stem();
        if self.once_in(2) {
            self.pool();
        }
        let (growth, is_scaled) = (self.one_of(&[8, 16, 32]), self.once_in(2));
        for layer in 0..14 {
            if self.is_full() {
                break;
            }
            let (before, channels) = (self.value.clone(), self.channels);
            self.normalised_and_scaled(is_scaled);
            self.one("Relu", &[], Vec::new());
            self.convolution(growth * 4, 1, 1, 1);
            self.normalised_and_scaled(is_scaled);
            self.one("Relu", &[], Vec::new());
            if self.convolution(growth, 3, 1, 1) {
                let new = std::mem::replace(&mut self.value, before);
                self.one("Concat", &[new], vec![int("axis", 1)]);
                self.channels += channels;
            }
            if layer % 4 == 3 {
                self.convolution(self.channels / 2, 1, 1, 1);
                self.pool();
            }
        }
    }

    /// Squeeze and expand as in SqueezeNet.
    pub(super) fn fire(&mut self) {
        self.stem();
        self.one("Relu", &[], Vec::new());
        for _ in 0..6 {
            if self.is_full() {
                break;
            }
            if self.once_in(2) {
                self.pool();
            }
            let (narrow, wide) = (self.one_of(&[16, 32, 48, 64]), self.one_of(&[64, 128, 192, 256]));
            self.convolution(narrow, 1, 1, 1);
            self.one("Relu", &[], Vec::new());
            let (before, channels) = (self.value.clone(), self.channels);
            self.convolution(wide, 1, 1, 1);
            self.one("Relu", &[], Vec::new());
            let (left, left_channels) = (std::mem::replace(&mut self.value, before), self.channels);
            self.channels = channels;
            self.convolution(wide, 3, 1, 1);
            self.one("Relu", &[], Vec::new());
            self.one("Concat", &[left], vec![int("axis", 1)]);
            self.channels += left_channels;
        }
    }
}
