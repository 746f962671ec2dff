//! The type rule of each operation.
//!
//! Rows of operands that belong together must be the same extent: the same number or the same phase variable.
//! Sources and `Store` are declared, not inferred: [`check`] compares their type with the program's tables.

mod args;
mod pointwise;
mod rules;
mod sources;

use crate::error::{Error, Result};
use crate::op::{Op, Pointwise};
use crate::program::{Program, State, StateId, Weight, WeightId};
use crate::types::TensorType;

/// The program's tables that types of sources come from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Env<'a> {
    /// [`Program::weights`].
    pub weights: &'a [Weight],
    /// [`Program::states`].
    pub states: &'a [State],
}

impl<'a> Env<'a> {
    /// The tables of a program.
    pub fn of(program: &'a Program) -> Self {
        Env { weights: &program.weights, states: &program.states }
    }

    /// The weight, or an error that names the id.
    pub fn weight(&self, id: WeightId) -> Result<&'a Weight> {
        let count = self.weights.len();
        let missing = || Error::bug(format!("weight %{} does not exist, the program has {count}", id.0));
        self.weights.get(id.0 as usize).ok_or_else(missing)
    }

    /// The state, or an error that names the id.
    pub fn state(&self, id: StateId) -> Result<&'a State> {
        let count = self.states.len();
        let missing = || Error::bug(format!("state @{} does not exist, the program has {count}", id.0));
        self.states.get(id.0 as usize).ok_or_else(missing)
    }
}

/// Type of a node's result, after its epilogue. `inputs` are the op's inputs, then the epilogue's operands.
///
/// A `Weight` has its table's type, a `State` and a `Store` the whole state's; their nodes may declare less, see
/// [`check`]. Errors name the op, the operand, what was found and what was expected; an `Input` can't be inferred.
pub fn infer(op: &Op, epilogue: &[Pointwise], inputs: &[&TensorType], env: &Env) -> Result<TensorType> {
    let own = own_inputs(op, epilogue, inputs.len())?;
    let (inputs, mut operands) = inputs.split_at(own);
    let mut ty = rules::result(op, inputs, env)?;
    if !epilogue.is_empty() && (op.is_source() || op.is_view() || matches!(op, Op::Store { .. })) {
        return Err(Error::bug(format!("{} computes nothing and can't have an epilogue", op.name())));
    }
    for work in epilogue {
        let (mine, rest) = operands.split_at(usize::from(work.has_operand()));
        ty = pointwise::result(work, &ty, mine.first().copied())
            .map_err(|e| e.at(format!("epilogue of {}", op.name())))?;
        operands = rest;
    }
    Ok(ty)
}

/// How many of a node's `count` inputs are the op's own; the others are its epilogue's operands, in order.
pub fn own_inputs(op: &Op, epilogue: &[Pointwise], count: usize) -> Result<usize> {
    let operands = epilogue.iter().filter(|p| p.has_operand()).count();
    count
        .checked_sub(operands)
        .ok_or_else(|| Error::bug(format!("{}: {count} inputs, but the epilogue alone needs {operands}", op.name())))
}

/// Whether a node of type `declared` is right: equal to the inferred type, or, for sources and `Store`, within what
/// the program's tables allow. The layout of a weight's node is free.
pub fn check(op: &Op, epilogue: &[Pointwise], inputs: &[&TensorType], declared: &TensorType, env: &Env) -> Result<()> {
    declared.check()?;
    if let Op::Input(_) = op {
        return sources::input(inputs, declared);
    }
    let inferred = infer(op, epilogue, inputs, env)?;
    match op {
        Op::Weight(_) => sources::weight(declared, &inferred),
        Op::State(_) | Op::Store { .. } => sources::rows_of_state(op, declared, &inferred),
        _ if *declared == inferred => Ok(()),
        _ => Err(Error::bug(format!("{} declares {declared}, but its inputs give {inferred}", op.name()))),
    }
}

impl Op {
    /// Type of the result without an epilogue, for ops that name no weight and no state.
    pub fn infer(&self, inputs: &[&TensorType]) -> Result<TensorType> {
        infer(self, &[], inputs, &Env::default())
    }
}
