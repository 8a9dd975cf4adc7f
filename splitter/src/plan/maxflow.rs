//! Maximum flow, for the cut that it proves minimal.
//!
//! Push–relabel with a first-in-first-out queue, the gap heuristic and exact relabelling from time to time (Goldberg
//! and Tarjan 1988; Cherkassky and Goldberg, On implementing push-relabel, 1997). Only its first phase is run: the
//! flow is a preflow at the end, which is enough for the cut. Dinic's and other augmenting algorithms, which the
//! common crates have, need a phase a layer on the long chains that networks are.

use std::collections::VecDeque;

/// A vertex.
pub type Vertex = usize;

/// Arcs with capacities. Arc `2i + 1` is the reverse of arc `2i`.
#[derive(Debug, Clone)]
pub struct Flow {
    first: Vec<usize>,
    next: Vec<usize>,
    to: Vec<Vertex>,
    residual: Vec<u64>,
}

const NONE: usize = usize::MAX;

impl Flow {
    /// A graph without arcs.
    pub fn new(vertices: usize) -> Self {
        Self {
            first: vec![NONE; vertices],
            next: Vec::new(),
            to: Vec::new(),
            residual: Vec::new(),
        }
    }

    /// One more vertex.
    pub fn add_vertex(&mut self) -> Vertex {
        self.first.push(NONE);
        self.first.len() - 1
    }

    /// One more arc. The sum of an arc's capacity and its reverse's must fit 63 bits.
    pub fn add_arc(&mut self, from: Vertex, to: Vertex, capacity: u64) {
        for (a, b, capacity) in [(from, to, capacity), (to, from, 0)] {
            self.next.push(self.first[a]);
            self.first[a] = self.to.len();
            self.to.push(b);
            self.residual.push(capacity);
        }
    }

    /// The minimum cut between `source` and `sink`: its capacity, and for each vertex whether it is on the sink's side.
    /// Of several minimum cuts, the one with the fewest vertices on the sink's side.
    pub fn min_cut(mut self, source: Vertex, sink: Vertex) -> (u128, Vec<bool>) {
        let mut run = Run::new(&mut self, source, sink);
        run.saturate_source();
        run.relabel_all();
        while let Some(vertex) = run.queue.pop_front() {
            run.queued[vertex] = false;
            run.discharge(vertex);
            if run.relabels > run.label.len() {
                run.relabel_all();
            }
        }
        run.relabel_all();
        let unreachable = run.label.len();
        let side = run.label.iter().map(|&label| label < unreachable).collect();
        (run.excess[sink], side)
    }
}

/// The state of one run; a vertex with label `n` cannot reach the sink any more.
struct Run<'a> {
    flow: &'a mut Flow,
    source: Vertex,
    sink: Vertex,
    label: Vec<usize>,
    /// Vertices of each label, for the gap heuristic.
    population: Vec<usize>,
    /// 128 bits: many arcs of capacity 2^62 may end at one vertex.
    excess: Vec<u128>,
    /// The arc at which each vertex goes on.
    current: Vec<usize>,
    queue: VecDeque<Vertex>,
    queued: Vec<bool>,
    relabels: usize,
}

impl<'a> Run<'a> {
    fn new(flow: &'a mut Flow, source: Vertex, sink: Vertex) -> Self {
        let n = flow.first.len();
        Self {
            source,
            sink,
            label: vec![n; n],
            population: vec![0; n + 1],
            excess: vec![0; n],
            current: flow.first.clone(),
            queue: VecDeque::new(),
            queued: vec![false; n],
            relabels: 0,
            flow,
        }
    }

    fn saturate_source(&mut self) {
        let mut arc = self.flow.first[self.source];
        while arc != NONE {
            let amount = std::mem::take(&mut self.flow.residual[arc]);
            self.flow.residual[arc ^ 1] += amount;
            self.excess[self.flow.to[arc]] += u128::from(amount);
            arc = self.flow.next[arc];
        }
    }

    /// Labels every vertex with its exact distance to the sink and queues those with excess.
    fn relabel_all(&mut self) {
        let n = self.label.len();
        self.label.fill(n);
        self.population.fill(0);
        self.current.copy_from_slice(&self.flow.first);
        self.relabels = 0;
        self.label[self.sink] = 0;
        self.population[0] = 1;
        let mut reached = VecDeque::from([self.sink]);
        while let Some(vertex) = reached.pop_front() {
            let mut arc = self.flow.first[vertex];
            while arc != NONE {
                let before = self.flow.to[arc];
                if self.flow.residual[arc ^ 1] > 0 && self.label[before] == n && before != self.source {
                    self.label[before] = self.label[vertex] + 1;
                    self.population[self.label[before]] += 1;
                    reached.push_back(before);
                }
                arc = self.flow.next[arc];
            }
        }
        for vertex in 0..n {
            self.queue_if_active(vertex);
        }
    }

    fn queue_if_active(&mut self, vertex: Vertex) {
        let active = self.excess[vertex] > 0
            && self.label[vertex] < self.label.len()
            && vertex != self.sink
            && vertex != self.source;
        if active && !self.queued[vertex] {
            self.queued[vertex] = true;
            self.queue.push_back(vertex);
        }
    }

    fn discharge(&mut self, vertex: Vertex) {
        while self.excess[vertex] > 0 && self.label[vertex] < self.label.len() {
            let arc = self.current[vertex];
            if arc == NONE {
                self.relabel(vertex);
                continue;
            }
            let to = self.flow.to[arc];
            if self.flow.residual[arc] > 0 && self.label[vertex] == self.label[to] + 1 {
                self.push(vertex, arc);
                self.queue_if_active(to);
            }
            if self.excess[vertex] > 0 {
                self.current[vertex] = self.flow.next[arc];
            }
        }
    }

    fn push(&mut self, from: Vertex, arc: usize) {
        let room = self.flow.residual[arc];
        let amount = u64::try_from(self.excess[from]).map_or(room, |excess| excess.min(room));
        self.flow.residual[arc] -= amount;
        self.flow.residual[arc ^ 1] += amount;
        self.excess[from] -= u128::from(amount);
        self.excess[self.flow.to[arc]] += u128::from(amount);
    }

    fn relabel(&mut self, vertex: Vertex) {
        let n = self.label.len();
        let old = self.label[vertex];
        let mut lowest = n;
        let mut arc = self.flow.first[vertex];
        while arc != NONE {
            if self.flow.residual[arc] > 0 {
                lowest = lowest.min(self.label[self.flow.to[arc]] + 1);
            }
            arc = self.flow.next[arc];
        }
        self.relabels += 1;
        self.current[vertex] = self.flow.first[vertex];
        self.population[old] -= 1;
        self.label[vertex] = lowest.min(n);
        self.population[self.label[vertex]] += 1;
        if self.population[old] == 0 {
            self.lift_above(old);
        }
    }

    /// No vertex has this label any more, so none above it can reach the sink.
    fn lift_above(&mut self, gap: usize) {
        let n = self.label.len();
        for label in &mut self.label {
            if *label > gap && *label < n {
                self.population[*label] -= 1;
                *label = n;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_textbook_network() {
        // Cormen, Leiserson, Rivest and Stein, Introduction to Algorithms, figure 26.1: flow 23, cut {s,v1,v2,v4}.
        let mut flow = Flow::new(6);
        for (from, to, capacity) in [
            (0, 1, 16),
            (0, 2, 13),
            (1, 3, 12),
            (2, 1, 4),
            (2, 4, 14),
            (3, 2, 9),
            (3, 5, 20),
            (4, 3, 7),
            (4, 5, 4),
        ] {
            flow.add_arc(from, to, capacity);
        }
        let (value, side) = flow.min_cut(0, 5);
        assert_eq!(value, 23);
        assert_eq!(side, [false, false, false, true, false, true]);
    }

    #[test]
    fn no_way_to_the_sink_is_a_cut_of_nothing() {
        let mut flow = Flow::new(3);
        flow.add_arc(0, 1, 5);
        assert_eq!(flow.min_cut(0, 2), (0, vec![false, false, true]));
    }

    #[test]
    fn ties_stay_on_the_source_side() {
        let mut flow = Flow::new(3);
        flow.add_arc(0, 1, 5);
        flow.add_arc(1, 2, 5);
        assert_eq!(flow.min_cut(0, 2), (5, vec![false, false, true]));
    }
}
