//! Small networks made up from a seed, so that a machine shows what it takes for shapes that no model at hand has.
//!
//! Each is a chain of the layers that networks on boards have, with sizes drawn over the ranges that they have there.

use prost::Message as _;
use prost::bytes::Bytes;

use crate::onnx::proto::tensor_shape_proto::{Dimension, dimension};
use crate::onnx::proto::type_proto::{Tensor, Value};
use crate::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType,
};

/// ONNX's number for floats of 32 bits.
const FLOAT: i32 = 1;
/// Layers of one made-up network.
const LAYERS: usize = 14;
/// Most multiply-accumulates of one layer, so that calibrating takes minutes on a board.
const MOST_MACS: u64 = 60_000_000;

/// One made-up network as ONNX; the same seed gives the same bytes.
pub fn network(seed: u64) -> Vec<u8> {
    let mut chain = Chain::new(seed);
    for _ in 0..LAYERS {
        chain.layer();
    }
    chain.finish()
}

struct Chain {
    random: u64,
    graph: GraphProto,
    /// `[channels, side]` of the value at the end.
    channels: u64,
    side: u64,
    /// Its name.
    value: String,
}

impl Chain {
    fn new(seed: u64) -> Self {
        let mut chain = Self {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d,
            graph: GraphProto {
                name: Some(format!("generated-{seed}")),
                ..GraphProto::default()
            },
            channels: 3,
            side: 0,
            value: "input".into(),
        };
        chain.channels = [1, 3, 8, 16, 32, 64][chain.below(6)];
        chain.side = [16, 28, 32, 56, 64, 80, 112][chain.below(7)];
        let input = value_info("input", &[1, chain.channels, chain.side, chain.side]);
        chain.graph.input.push(input);
        chain
    }

    fn below(&mut self, bound: usize) -> usize {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap_or(0)
    }

    fn layer(&mut self) {
        match self.below(10) {
            0..3 => {
                let channels = [8, 16, 24, 32, 64, 96, 144, 192, 320][self.below(9)];
                self.convolution(channels, 1, 1, 1);
            }
            3..5 => {
                let (kernel, stride) = ([3, 3, 5][self.below(3)], self.stride());
                self.convolution(self.channels, kernel, stride, self.channels);
            }
            5 | 6 => {
                let channels = [8, 16, 32, 48, 64, 128][self.below(6)];
                let (kernel, stride) = ([3, 3, 5, 7][self.below(4)], self.stride());
                self.convolution(channels, kernel, stride, 1);
            }
            7 => self.one("Relu", &[], Vec::new()),
            8 if self.side >= 8 => self.pool(),
            8 => self.one("Sigmoid", &[], Vec::new()),
            _ => self.residual(),
        }
    }

    fn stride(&mut self) -> u64 {
        if self.side >= 16 && self.below(3) == 0 { 2 } else { 1 }
    }

    fn convolution(&mut self, channels: u64, kernel: u64, stride: u64, groups: u64) {
        let side = self.side.div_ceil(stride);
        let inner = self.channels / groups * kernel * kernel;
        if channels * side * side * inner > MOST_MACS {
            return self.one("Relu", &[], Vec::new());
        }
        let shape = [channels, self.channels / groups, kernel, kernel];
        let weights = self.weights(&shape);
        let bias = self.weights(&[channels]);
        let pad = kernel / 2;
        let attributes = vec![
            ints("kernel_shape", &[kernel, kernel]),
            ints("strides", &[stride, stride]),
            ints("pads", &[pad, pad, pad, pad]),
            int("group", groups),
        ];
        self.one("Conv", &[weights, bias], attributes);
        (self.channels, self.side) = (channels, side);
    }

    fn pool(&mut self) {
        let op = ["MaxPool", "AveragePool"][self.below(2)];
        self.one(op, &[], vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]);
        self.side /= 2;
    }

    /// `x + relu(x)`: an addition whose both sides are values.
    fn residual(&mut self) {
        let before = self.value.clone();
        self.one("Relu", &[], Vec::new());
        self.one("Add", &[before], Vec::new());
    }

    /// One node from the chain's end to its new end.
    fn one(&mut self, op: &str, more: &[String], attribute: Vec<AttributeProto>) {
        let name = format!("{}_{}", op.to_lowercase(), self.graph.node.len());
        let input = std::iter::once(self.value.clone())
            .chain(more.iter().cloned())
            .collect();
        self.graph.node.push(NodeProto {
            input,
            output: vec![name.clone()],
            name: Some(name.clone()),
            op_type: Some(op.to_owned()),
            attribute,
            ..NodeProto::default()
        });
        self.value = name;
    }

    /// Weights of a size that keeps values where they were.
    fn weights(&mut self, shape: &[u64]) -> String {
        let elements: u64 = shape.iter().product();
        let inner: u64 = shape.iter().skip(1).product();
        let size = (2.0 / inner.max(1) as f32).sqrt();
        let mut bytes = Vec::new();
        for _ in 0..elements {
            let unit = self.below(2001) as f32 / 1000.0 - 1.0;
            bytes.extend((unit * size).to_le_bytes());
        }
        let name = format!("w{}", self.graph.initializer.len());
        self.graph.initializer.push(TensorProto {
            name: Some(name.clone()),
            dims: shape.iter().map(|dim| signed(*dim)).collect(),
            data_type: Some(FLOAT),
            raw_data: Some(Bytes::from(bytes)),
            ..TensorProto::default()
        });
        name
    }

    /// Ends as classifiers do.
    fn finish(mut self) -> Vec<u8> {
        self.one("GlobalAveragePool", &[], Vec::new());
        self.one("Flatten", &[], Vec::new());
        let weights = self.weights(&[10, self.channels]);
        self.one("Gemm", &[weights], vec![int("transB", 1)]);
        self.one("Softmax", &[], Vec::new());
        let output = value_info(&self.value, &[1, 10]);
        self.graph.output.push(output);
        let model = ModelProto {
            ir_version: Some(8),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(13),
            }],
            graph: Some(self.graph),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}

fn signed(dim: u64) -> i64 {
    i64::try_from(dim).unwrap_or(i64::MAX)
}

fn value_info(name: &str, shape: &[u64]) -> ValueInfoProto {
    let dim = |dim: &u64| Dimension {
        value: Some(dimension::Value::DimValue(signed(*dim))),
        ..Dimension::default()
    };
    let tensor = Tensor {
        elem_type: Some(FLOAT),
        shape: Some(TensorShapeProto {
            dim: shape.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

fn ints(name: &str, values: &[u64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Ints as i32),
        ints: values.iter().map(|value| signed(*value)).collect(),
        ..AttributeProto::default()
    }
}

fn int(name: &str, value: u64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(signed(value)),
        ..AttributeProto::default()
    }
}
