//! Runs whole phases: weights, states that outlive a call, and the values in between.

use super::source::{constant, weight_values};
use super::tensor::HostTensor;
use super::variables::Variables;
use super::{eval_node, rope};
use crate::encode;
use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId};
use crate::infer::Env;
use crate::op::Op;
use crate::program::{Program, Source, StateId, WeightId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a phase hands out, by name of the `Output`.
pub type Outputs = BTreeMap<String, HostTensor>;

/// The value of each node, by name.
pub type Trace = BTreeMap<String, Arc<HostTensor>>;

/// A program with its memory.
#[derive(Debug, Clone)]
pub struct Machine<'p> {
    program: &'p Program,
    /// The weights that some phase reads, as they are once kept in their format.
    pub weights: HashMap<WeightId, Arc<HostTensor>>,
    /// Contents of the states, in the program's order; zeros at first.
    pub states: Vec<HostTensor>,
}

/// One call of a phase.
struct Call<'a> {
    variables: Variables,
    inputs: &'a [(&'a str, HostTensor)],
    values: HashMap<NodeId, Arc<HostTensor>>,
}

impl<'p> Machine<'p> {
    /// Loads all weights that phases read; `load` gives the numbers of a [`Source::Stored`] (its rows, transposed
    /// where it says so).
    pub fn new(program: &'p Program, load: &dyn Fn(&Source) -> Result<Vec<f32>>) -> Result<Self> {
        let mut weights = HashMap::new();
        for phase in &program.phases {
            for id in weights_of(&phase.graph) {
                let weight = Env::of(program).weight(id)?;
                if let std::collections::hash_map::Entry::Vacant(slot) = weights.entry(id) {
                    let values = weight_values(program, weight, load)?;
                    slot.insert(Arc::new(constant(&weight.ty, &values)?));
                }
            }
        }
        let states = program.states.iter().map(|state| {
            state.ty.check()?;
            let shape: Vec<usize> = state.ty.shape.iter().map(|d| d.max() as usize).collect();
            Ok(HostTensor::zeros(shape))
        });
        Ok(Machine { program, weights, states: states.collect::<Result<_>>()? })
    }

    /// Runs a phase. `vars` are phase variables (`pos`, `slot`, ..); those that are extents of inputs need not be
    /// given, and `context` is `pos + tokens` unless given.
    pub fn run(&mut self, phase: &str, vars: &[(&str, u32)], inputs: &[(&str, HostTensor)]) -> Result<Outputs> {
        Ok(self.trace(phase, vars, inputs)?.0)
    }

    /// As [`Machine::run`]; also returns the value of each node.
    pub fn trace(
        &mut self,
        phase: &str,
        vars: &[(&str, u32)],
        inputs: &[(&str, HostTensor)],
    ) -> Result<(Outputs, Trace)> {
        let program = self.program;
        let found = program.phase(phase);
        let graph = &found.ok_or_else(|| Error::input(format!("the program has no phase {phase}")))?.graph;
        let mut call = Call { variables: Variables::new(vars), inputs, values: HashMap::new() };
        call.bind(graph).map_err(|e| e.at(format_args!("phase {phase}")))?;
        for id in graph.order() {
            let place = || format!("phase {phase}, node {}", graph.node(id).name);
            let value = self.value(graph, id, &call).map_err(|e| e.at(place()))?;
            let expected = call.variables.shape(&graph.node(id).ty).map_err(|e| e.at(place()))?;
            if value.shape != expected {
                return Err(Error::bug(format!("{}: value of shape {:?}, not {expected:?}", place(), value.shape)));
            }
            call.values.insert(id, value);
        }
        Ok(call.results(graph))
    }

    fn value(&mut self, graph: &Graph, id: NodeId, call: &Call) -> Result<Arc<HostTensor>> {
        let node = graph.node(id);
        let inputs = call.inputs_of(graph, id)?;
        match &node.op {
            Op::Input(name) => call.given(name).map(|x| Arc::new(x.clone())),
            Op::Weight(weight) => {
                let missing = || Error::bug(format!("weight %{} is not loaded", weight.0));
                self.weights.get(weight).cloned().ok_or_else(missing)
            }
            Op::State(state) => self.readable(*state, call.variables.shape(&node.ty)?).map(Arc::new),
            Op::Store { state, at } => {
                self.store(*state, call.variables.get(at)? as usize, &inputs)?;
                self.readable(*state, call.variables.shape(&node.ty)?).map(Arc::new)
            }
            op => {
                let value = eval_node(op, &node.epilogue, &inputs)?;
                if let (Some(port), Some(contents)) = (op.updates(), op.updated(&inputs)?) {
                    self.overwrite(graph, graph.inputs(id)[port], contents)?;
                }
                Ok(Arc::new(value))
            }
        }
    }

    fn store(&mut self, id: StateId, at: usize, inputs: &[&HostTensor]) -> Result<()> {
        let ty = &Env::of(self.program).state(id)?.ty;
        let x = stored_rows(inputs)?;
        let width = ty.width() as usize;
        let values = encode::round_trip(ty, x.rows() as u64, &x.data)?;
        let state = self.states.get_mut(id.0 as usize).map(|s| &mut s.data[..]).unwrap_or_default();
        let capacity = state.len() / width.max(1);
        let begin = at.saturating_mul(width);
        let Some(target) = state.get_mut(begin..begin.saturating_add(values.len())) else {
            return Err(Error::input(format!("{} rows from row {at} on exceed the state's {capacity}", x.rows())));
        };
        target.copy_from_slice(&values);
        Ok(())
    }

    /// What an op leaves in the state that it reads through node `read`.
    fn overwrite(&mut self, graph: &Graph, read: NodeId, contents: HostTensor) -> Result<()> {
        let Op::State(id) = graph.node(read).op else { return Err(Error::bug("an op updates what is no state")) };
        match self.states.get_mut(id.0 as usize) {
            Some(state) if state.data.len() == contents.data.len() => state.data = contents.data,
            _ => return Err(Error::bug(format!("contents of {:?} do not fit state @{}", contents.shape, id.0))),
        }
        Ok(())
    }

    /// The first rows of a state.
    fn readable(&self, id: StateId, shape: Vec<usize>) -> Result<HostTensor> {
        let state = self.states.get(id.0 as usize).map(|s| &s.data[..]).unwrap_or_default();
        let len = shape.iter().product();
        let data = state.get(..len).ok_or_else(|| Error::bug("more is read than the state holds"))?;
        HostTensor::new(shape, data.to_vec())
    }
}

/// The rows a `Store` writes: its input, rotated by the second if there is one.
pub(super) fn stored_rows(inputs: &[&HostTensor]) -> Result<HostTensor> {
    match inputs {
        [x] => Ok((*x).clone()),
        [x, table] => rope::rotate(x, table, None),
        _ => Err(Error::bug(format!("store with {} inputs", inputs.len()))),
    }
}

impl Call<'_> {
    fn given(&self, name: &str) -> Result<&HostTensor> {
        let found = self.inputs.iter().find(|(n, _)| *n == name).map(|(_, value)| value);
        found.ok_or_else(|| Error::input(format!("input {name} is not given")))
    }

    fn bind(&mut self, graph: &Graph) -> Result<()> {
        for id in graph.order() {
            if let Op::Input(name) = &graph.node(id).op {
                let value = self.given(name)?.clone();
                self.variables.bind(&graph.node(id).ty, &value).map_err(|e| e.at(format_args!("input {name}")))?;
            }
        }
        Ok(())
    }

    fn inputs_of(&self, graph: &Graph, id: NodeId) -> Result<Vec<&HostTensor>> {
        let value = |i: &NodeId| self.values.get(i).map(Arc::as_ref).ok_or_else(|| Error::bug("an input has no value"));
        graph.inputs(id).iter().map(value).collect()
    }

    fn results(self, graph: &Graph) -> (Outputs, Trace) {
        let (mut outputs, mut trace) = (Outputs::new(), Trace::new());
        for (id, value) in self.values {
            let node = graph.node(id);
            if let Op::Output(name) = &node.op {
                outputs.insert(name.clone(), value.as_ref().clone());
            }
            trace.insert(node.name.clone(), value);
        }
        (outputs, trace)
    }
}

fn weights_of(graph: &Graph) -> impl Iterator<Item = WeightId> + '_ {
    graph.order().into_iter().filter_map(|id| match graph.node(id).op {
        Op::Weight(weight) => Some(weight),
        _ => None,
    })
}
