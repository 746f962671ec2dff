//! Text back to graphs.

use super::lex::Token;
use super::ops::{self, Attributes, Value};
use super::parse::Parser;
use crate::error::Result;
use crate::graph::{Graph, Node, NodeId};
use crate::op::{Op, Pointwise};
use crate::program::{StateId, WeightId};
use std::collections::HashMap;

/// Nodes by name.
type Known = HashMap<String, NodeId>;

impl Parser {
    /// `{ nodes }`; a node's inputs stand before it.
    pub fn graph(&mut self) -> Result<Graph> {
        let (mut graph, mut known) = (Graph::new(), Known::new());
        self.mark('{')?;
        while !self.accept('}') {
            let spot = self.spot();
            let (node, inputs) = self.node(&known)?;
            if known.contains_key(&node.name) {
                return Err(spot.fail(format_args!("there is a node {} already", node.name)));
            }
            let name = node.name.clone();
            known.insert(name, graph.add(node, &inputs));
        }
        Ok(graph)
    }

    fn node(&mut self, known: &Known) -> Result<(Node, Vec<NodeId>)> {
        let name = self.name("a node's name")?;
        self.mark('=')?;
        let (op, mut inputs) = self.op(known)?;
        let epilogue = self.epilogue(known, &mut inputs)?;
        self.mark(':')?;
        let ty = self.ty()?;
        let unit = if self.accept('@') { Some(self.name("a unit")?) } else { None };
        Ok((Node { name, op, epilogue, ty, unit }, inputs))
    }

    fn op(&mut self, known: &Known) -> Result<(Op, Vec<NodeId>)> {
        let spot = self.spot();
        let name = self.word("an op")?;
        let named = match name.as_str() {
            "input" => return Ok((Op::Input(self.string("the input's name in quotes")?), vec![])),
            "weight" => {
                self.mark('%')?;
                return Ok((Op::Weight(WeightId(self.number("a weight's number")?)), vec![]));
            }
            "state" => return Ok((Op::State(self.state_id()?), vec![])),
            "store" => {
                let state = self.state_id()?;
                Some(Op::Store { state, at: self.string("a phase variable in quotes")? })
            }
            "output" => Some(Op::Output(self.string("the output's name in quotes")?)),
            _ => None,
        };
        let (inputs, mut attributes) = self.arguments(known)?;
        let op = named.or_else(|| ops::op(&name, &mut attributes));
        let op =
            op.ok_or_else(|| spot.fail(format_args!("there is no op {name}, or one of its attributes is wrong")))?;
        match attributes.0.first() {
            Some((left, _)) => Err(spot.fail(format_args!("{name} has no attribute {left}"))),
            None => Ok((op, inputs)),
        }
    }

    fn state_id(&mut self) -> Result<StateId> {
        self.mark('@')?;
        self.number("a state's number").map(StateId)
    }

    /// `(a, b, heads=4)`.
    fn arguments(&mut self, known: &Known) -> Result<(Vec<NodeId>, Attributes)> {
        let (mut inputs, mut attributes) = (vec![], Attributes(vec![]));
        self.mark('(')?;
        while !self.accept(')') {
            if !(inputs.is_empty() && attributes.0.is_empty()) {
                self.mark(',')?;
            }
            if *self.peek(1) == Token::Mark('=') {
                let name = self.word("an attribute")?;
                self.skip();
                attributes.0.push((name, self.value()?));
            } else {
                inputs.push(self.reference(known)?);
            }
        }
        Ok((inputs, attributes))
    }

    fn reference(&mut self, known: &Known) -> Result<NodeId> {
        let spot = self.spot();
        let name = self.name("a node")?;
        let found = known.get(&name).copied();
        found.ok_or_else(|| spot.fail(format_args!("there is no node {name} above")))
    }

    pub fn value(&mut self) -> Result<Value> {
        let value = match self.peek(0) {
            Token::Word(w) if w == "true" => Value::Flag(true),
            Token::Word(w) if w == "false" => Value::Flag(false),
            Token::Word(w) => match w.parse() {
                Ok(n) => Value::Int(n),
                Err(_) => return self.float().map(Value::Float),
            },
            _ => return Err(self.expected("a value")),
        };
        self.skip();
        Ok(value)
    }

    /// ` {bias(b), scale(0.5), gelu}` or nothing; operands are appended to `inputs`.
    fn epilogue(&mut self, known: &Known, inputs: &mut Vec<NodeId>) -> Result<Vec<Pointwise>> {
        let mut all = vec![];
        if !self.accept('{') {
            return Ok(all);
        }
        while !self.accept('}') {
            if !all.is_empty() {
                self.mark(',')?;
            }
            all.push(self.work(known, inputs)?);
        }
        Ok(all)
    }

    fn work(&mut self, known: &Known, inputs: &mut Vec<NodeId>) -> Result<Pointwise> {
        let spot = self.spot();
        let name = self.word("element-wise work")?;
        let missing = || spot.fail(format_args!("there is no element-wise work {name}"));
        let plain = match name.as_str() {
            "scale" | "quantize" => None,
            other => Some(ops::pointwise(other).ok_or_else(missing)?),
        };
        if plain.is_some_and(|p| !p.has_operand()) {
            return plain.ok_or_else(missing);
        }
        self.mark('(')?;
        let work = match (plain, name.as_str()) {
            (Some(work), _) => {
                inputs.push(self.reference(known)?);
                work
            }
            (None, "scale") => Pointwise::Scale(self.float()?),
            (None, _) => Pointwise::Quantize { group: self.number("a group size")? },
        };
        self.mark(')')?;
        Ok(work)
    }
}
