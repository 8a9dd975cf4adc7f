//! Made-up transformers: sequences `[1, length, width]`.

use super::chain::Chain;
use super::write::{int, ints};

/// A few encoder layers and a classifier.
pub(super) fn transformer(seed: u64) -> Vec<u8> {
    let mut chain = Chain::empty(seed);
    let (mut length, width, heads) = (
        chain.one_of(&[10, 16, 17, 32, 49, 64, 65, 100, 128]),
        chain.one_of(&[32, 48, 64, 80, 96, 128, 192]),
        chain.one_of(&[1, 2, 4]),
    );
    if chain.once_in(2) {
        chain.input(&[1, length, width]);
    } else {
        length = patches(&mut chain, width);
    }
    for _ in 0..2 {
        attention(&mut chain, [length, width, heads]);
        feed_forward(&mut chain, width);
    }
    normalised(&mut chain, width);
    chain.one("ReduceMean", &[], vec![ints("axes", &[1]), int("keepdims", 0)]);
    (chain.channels, chain.side) = (width, 0);
    chain.finish()
}

/// A picture's patches, each with where it was: engines keep their axes in the convolution's order through the layers behind.
fn patches(chain: &mut Chain, width: u64) -> u64 {
    (chain.channels, chain.side) = (chain.one_of(&[1, 3]), chain.one_of(&[24, 32, 48, 64]));
    chain.input(&[1, chain.channels, chain.side, chain.side]);
    let patch = chain.one_of(&[4, 8]);
    chain.padded(width, patch, patch, 1, 0);
    let length = chain.side * chain.side;
    let flat = chain.integers(&[1, width, length]);
    chain.one("Reshape", &[flat], Vec::new());
    chain.one("Transpose", &[], vec![ints("perm", &[0, 2, 1])]);
    let places = chain.weights(&[1, length, width]);
    chain.one("Add", &[places], Vec::new());
    length
}

fn normalised(chain: &mut Chain, width: u64) {
    let (scale, bias) = (chain.filled(&[width], 1.0), chain.filled(&[width], 0.0));
    chain.one("LayerNormalization", &[scale, bias], Vec::new());
}

fn projected(chain: &mut Chain, from: &str, inner: u64, outer: u64) -> String {
    let (weights, bias) = (chain.weights(&[inner, outer]), chain.weights(&[outer]));
    let product = chain.node("MatMul", vec![from.to_owned(), weights], Vec::new());
    chain.node("Add", vec![product, bias], Vec::new())
}

fn attention(chain: &mut Chain, [length, width, heads]: [u64; 3]) {
    let before = chain.value.clone();
    normalised(chain, width);
    let x = chain.value.clone();
    let each = width / heads;
    let split = chain.integers(&[1, length, heads, each]);
    let [queries, keys, values] = [[0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]].map(|order| {
        let projected = projected(chain, &x, width, width);
        let apart = chain.node("Reshape", vec![projected, split.clone()], Vec::new());
        chain.node("Transpose", vec![apart], vec![ints("perm", &order)])
    });
    let scores = chain.node("MatMul", vec![queries, keys], Vec::new());
    let scale = chain.filled(&[], 1.0 / (each as f32).sqrt());
    let scaled = chain.node("Mul", vec![scores, scale], Vec::new());
    let weights = chain.node("Softmax", vec![scaled], vec![int("axis", 3)]);
    let mixed = chain.node("MatMul", vec![weights, values], Vec::new());
    let back = chain.node("Transpose", vec![mixed], vec![ints("perm", &[0, 2, 1, 3])]);
    let joined = chain.integers(&[1, length, width]);
    let joined = chain.node("Reshape", vec![back, joined], Vec::new());
    let out = projected(chain, &joined, width, width);
    chain.value = chain.node("Add", vec![before, out], Vec::new());
}

fn feed_forward(chain: &mut Chain, width: u64) {
    let before = chain.value.clone();
    normalised(chain, width);
    let x = chain.value.clone();
    let inner = width * chain.one_of(&[2, 4]);
    let wide = projected(chain, &x, width, inner);
    // x · (1 + erf(x ÷ √2)) ÷ 2
    let (root, one, half) = (
        chain.filled(&[], std::f32::consts::SQRT_2),
        chain.filled(&[], 1.0),
        chain.filled(&[], 0.5),
    );
    let scaled = chain.node("Div", vec![wide.clone(), root], Vec::new());
    let erf = chain.node("Erf", vec![scaled], Vec::new());
    let sum = chain.node("Add", vec![erf, one], Vec::new());
    let product = chain.node("Mul", vec![wide, sum], Vec::new());
    let gelu = chain.node("Mul", vec![product, half], Vec::new());
    let out = projected(chain, &gelu, inner, width);
    chain.value = chain.node("Add", vec![before, out], Vec::new());
}
