//! Random models of small shapes, with everything that makes cutting hard.

use kerf_splitter::onnx::proto::{FunctionProto, GraphProto, ModelProto, OperatorSetIdProto, TensorProto};

use super::{FLOAT, body, floats, int, integers, model, node, tensor, value};

const SHAPE: [i64; 2] = [2, 4];

/// Makes random models whose values are all f32 `[2, 4]`: skips, shared and unused weights, weights as inputs, constant
/// sub-graphs, bodies that capture outer values, functions, optional inputs left out, several inputs and outputs.
pub struct Random {
    random: fastrand::Rng,
    graph: GraphProto,
    /// Values that depend on an input.
    values: Vec<String>,
    /// Values that do not.
    constants: Vec<String>,
    exits: Vec<String>,
    old: bool,
    next: usize,
}

/// A random model.
pub struct RandomModel {
    /// With its nodes in topological order.
    pub model: ModelProto,
    /// Outputs that a branch of its own gives, from a value in the middle: early exits.
    pub exits: Vec<String>,
    /// The same with its nodes in another order.
    pub shuffled: ModelProto,
}

/// The model of this seed. One in four is of IR version 3, with its weights listed as inputs.
pub fn random(seed: u64) -> RandomModel {
    let mut random = fastrand::Rng::with_seed(seed);
    let old = random.u8(0..4) == 0;
    let mut make = Random {
        random,
        graph: GraphProto {
            name: Some(format!("random {seed}")),
            ..GraphProto::default()
        },
        values: Vec::new(),
        constants: Vec::new(),
        exits: Vec::new(),
        old,
        next: 0,
    };
    make.build();
    let exits = std::mem::take(&mut make.exits);
    let mut model = if old {
        model(make.graph, 3, 8)
    } else {
        model(make.graph, 8, 17)
    };
    if !old {
        model.functions.push(twice());
        model.opset_import.push(OperatorSetIdProto {
            domain: Some("kerf.test".to_owned()),
            version: Some(1),
        });
    }
    let mut shuffled = model.clone();
    if let Some(graph) = &mut shuffled.graph {
        make.random.shuffle(&mut graph.node);
    }
    RandomModel { model, exits, shuffled }
}

/// The function `kerf.test.Twice(x) = x + x`.
fn twice() -> FunctionProto {
    FunctionProto {
        name: Some("Twice".to_owned()),
        domain: Some("kerf.test".to_owned()),
        input: vec!["x".to_owned()],
        output: vec!["y".to_owned()],
        node: vec![node("Add", &["x", "x"], &["y"])],
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(17),
        }],
        ..FunctionProto::default()
    }
}

impl Random {
    fn build(&mut self) {
        for index in 0..self.random.usize(1..4) {
            let name = format!("in{index}");
            self.graph.input.push(value(&name, FLOAT, &SHAPE));
            self.values.push(name);
        }
        let weights: Vec<f32> = (0..8).map(|_| self.random.f32() - 0.5).collect();
        self.weight(floats("w0", &SHAPE, &weights));
        for _ in 0..self.random.usize(4..24) {
            self.step();
        }
        for _ in 0..self.random.usize(0..3) {
            self.exit();
            // The trunk goes on behind it.
            for _ in 0..self.random.usize(2..6) {
                self.step();
            }
            self.unary();
        }
        let exits = self.exits.clone();
        let made: Vec<String> = self.values.iter().filter(|v| !v.starts_with("in")).cloned().collect();
        let mut outputs = vec![made[made.len() - 1].clone()];
        for _ in 0..self.random.usize(0..3) {
            let more = made[self.random.usize(0..made.len())].clone();
            if !outputs.contains(&more) {
                outputs.push(more);
            }
        }
        outputs.extend(exits);
        self.graph.output = outputs.iter().map(|name| value(name, FLOAT, &SHAPE)).collect();
    }

    /// A branch of up to three nodes from the newest values, to an output that nothing else needs.
    fn exit(&mut self) {
        let mut end = self.any();
        for _ in 0..self.random.usize(1..4) {
            let out = self.fresh();
            let op = ["Tanh", "Sigmoid", "Abs"][self.random.usize(0..3)];
            self.graph.node.push(node(op, &[&end], &[&out]));
            end = out;
        }
        self.exits.push(end);
    }

    fn weight(&mut self, tensor: TensorProto) {
        let name = tensor.name().to_owned();
        if self.old {
            self.graph.input.push(value(&name, tensor.data_type(), &tensor.dims));
        }
        if tensor.data_type() == FLOAT && tensor.dims == SHAPE {
            self.constants.push(name);
        }
        self.graph.initializer.push(tensor);
    }

    fn fresh(&mut self) -> String {
        self.next += 1;
        format!("v{}", self.next)
    }

    fn any(&mut self) -> String {
        // The newest values more often than the oldest: deep graphs, and skips.
        let back = self.random.usize(0..self.values.len().min(5));
        self.values[self.values.len() - 1 - back].clone()
    }

    fn any_or_constant(&mut self) -> String {
        if self.random.u8(0..3) == 0 && !self.constants.is_empty() {
            let index = self.random.usize(0..self.constants.len());
            return self.constants[index].clone();
        }
        self.any()
    }

    fn step(&mut self) {
        let most = if self.old { 3 } else { 10 };
        match self.random.u8(0..most) {
            0 => self.unary(),
            2 => self.product(),
            3 => self.split(),
            4 => self.constants(),
            5 => self.branch(),
            6 => self.by_shape(),
            7 => self.clip(),
            8 => self.function(),
            // 1 as well.
            _ => self.binary(),
        }
    }

    fn push(&mut self, op: &str, inputs: &[&str], name: Option<&str>) -> String {
        let out = self.fresh();
        let mut made = node(op, inputs, &[&out]);
        made.name = name.map(str::to_owned);
        self.graph.node.push(made);
        self.values.push(out.clone());
        out
    }

    fn unary(&mut self) {
        let op = ["Relu", "Tanh", "Sigmoid", "Neg", "Abs", "Identity"][self.random.usize(0..6)];
        let (x, name) = (self.any(), format!("node {}", self.next));
        self.push(op, &[&x], Some(&name));
    }

    fn binary(&mut self) {
        let op = ["Add", "Sub", "Mul", "Max"][self.random.usize(0..4)];
        let (a, b) = (self.any(), self.any_or_constant());
        self.push(op, &[&a, &b], None);
    }

    fn product(&mut self) {
        let shared = self
            .graph
            .initializer
            .iter()
            .find(|t| t.dims == [4, 4])
            .map(|t| t.name().to_owned());
        let matrix = if let Some(name) = shared.filter(|_| self.random.bool()) {
            name
        } else {
            let name = format!("m{}", self.graph.initializer.len());
            let data: Vec<f32> = (0..16).map(|_| self.random.f32() - 0.5).collect();
            self.weight(floats(&name, &[4, 4], &data));
            name
        };
        let x = self.any();
        self.push("MatMul", &[&x, &matrix], None);
    }

    fn split(&mut self) {
        let (x, left, right) = (self.any(), self.fresh(), self.fresh());
        let mut halves = node("Split", &[&x], &[&left, &right]);
        halves.attribute.push(int("axis", 1));
        self.graph.node.push(halves);
        let out = self.fresh();
        let mut joined = node("Concat", &[&right, &left], &[&out]);
        joined.attribute.push(int("axis", 1));
        self.graph.node.push(joined);
        self.values.push(out);
    }

    /// A sub-graph that depends on no input.
    fn constants(&mut self) {
        let (filled, sum) = (self.fresh(), self.fresh());
        let shape = format!("s{}", self.graph.initializer.len());
        self.weight(integers(&shape, &SHAPE));
        let mut fill = node("ConstantOfShape", &[&shape], &[&filled]);
        fill.attribute.push(tensor("value", floats("", &[1], &[0.25])));
        self.graph.node.push(fill);
        self.graph.node.push(node("Add", &[&filled, "w0"], &[&sum]));
        self.constants.push(sum);
        self.binary();
    }

    /// An If whose bodies capture outer values, one of them perhaps a weight.
    fn branch(&mut self) {
        let (a, b) = (self.any(), self.any_or_constant());
        let (total, zero, condition, out) = (self.fresh(), self.fresh(), self.fresh(), self.fresh());
        let mut reduce = node("ReduceMax", &[&a], &[&total]);
        reduce.attribute.push(int("keepdims", 0));
        let mut constant = node("Constant", &[], &[&zero]);
        constant.attribute.push(tensor("value", floats("", &[], &[0.0])));
        let mut branch = node("If", &[&condition], &[&out]);
        for (name, op) in [("then_branch", "Add"), ("else_branch", "Mul")] {
            let inner = format!("{out}_{name}");
            branch.attribute.push(body(
                name,
                GraphProto {
                    name: Some(name.to_owned()),
                    node: vec![node(op, &[&a, &b], &[&inner])],
                    output: vec![value(&inner, FLOAT, &SHAPE)],
                    ..GraphProto::default()
                },
            ));
        }
        let greater = node("Greater", &[&total, &zero], &[&condition]);
        self.graph.node.extend([reduce, constant, greater, branch]);
        self.values.push(out);
    }

    /// A value that depends on another by its shape alone.
    fn by_shape(&mut self) {
        let (x, shape, filled) = (self.any(), self.fresh(), self.fresh());
        self.graph.node.push(node("Shape", &[&x], &[&shape]));
        self.graph.node.push(node("ConstantOfShape", &[&shape], &[&filled]));
        let y = self.any();
        self.push("Add", &[&filled, &y], None);
    }

    /// An optional input left out.
    fn clip(&mut self) {
        let name = format!("c{}", self.graph.initializer.len());
        self.weight(floats(&name, &[], &[0.7]));
        let x = self.any();
        self.push("Clip", &[&x, "", &name], None);
    }

    fn function(&mut self) {
        let x = self.any();
        self.push("Twice", &[&x], None);
        if let Some(last) = self.graph.node.last_mut() {
            last.domain = Some("kerf.test".to_owned());
        }
    }
}
