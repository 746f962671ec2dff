//! The order of passes, and the verifier after each.

use crate::fold::Fold;
use crate::fuse::{
    attention::FuseAttention, epilogue::FuseEpilogue, gated::FuseGated, norm::FuseNorm, rope::FuseRope,
    siblings::FuseSiblings,
};
use crate::layout::LayOut;
use crate::narrow::Narrow;
use crate::place::{Place, Placement};
use crate::quantize::Quantize;
use crate::recipe::Recipe;
use mcv_ir::infer::{Env, infer};
use mcv_ir::target::Target;
use mcv_ir::{Error, Graph, Kernel, Node, NodeId, Op, Program, Result, Stage, TensorType, verify};

/// What passes may look at beside the program.
pub struct Context<'a> {
    /// Element formats.
    pub recipe: &'a Recipe,
    /// Processors, the preferred first.
    pub targets: &'a [&'a dyn Target],
}

impl Context<'_> {
    /// Whether some target runs a node of this form.
    pub fn runs(&self, node: &Node, inputs: &[NodeId], graph: &Graph) -> bool {
        let args = inputs.iter().map(|i| graph.node(*i).ty.clone()).collect();
        self.supports(&Kernel::new(node.op.clone(), node.epilogue.clone(), args, node.ty.clone()))
    }

    /// Type of an op's result, if its inputs allow the op and some target runs it: a fused op may ask more of its
    /// inputs than the ops it replaces.
    pub fn result(&self, program: &Program, op: &Op, inputs: &[&TensorType]) -> Option<TensorType> {
        let ty = infer(op, &[], inputs, &Env::of(program)).ok()?;
        let args = inputs.iter().map(|ty| (*ty).clone()).collect();
        self.supports(&Kernel::new(op.clone(), vec![], args, ty.clone())).then_some(ty)
    }

    fn supports(&self, kernel: &Kernel) -> bool {
        self.targets.iter().any(|t| t.supports(kernel).is_ok())
    }
}

/// One transformation of the program.
pub trait Pass {
    /// Its name for `--dump-ir` and `--stop-after`.
    fn name(&self) -> &'static str;
    /// The stage the program has reached afterwards.
    fn reaches(&self) -> Stage;
    /// Does it; returns how many places changed.
    fn run(&self, program: &mut Program, ctx: &Context) -> Result<usize>;
}

/// All passes in order; every node runs on the first target that can.
pub fn pipeline() -> Vec<Box<dyn Pass>> {
    pipeline_for(Placement::default())
}

/// All passes in order, nodes placed as `placement` says.
pub fn pipeline_for(placement: Placement) -> Vec<Box<dyn Pass>> {
    vec![
        Box::new(Fold),
        Box::new(Quantize),
        Box::new(FuseAttention),
        Box::new(FuseSiblings),
        Box::new(FuseGated),
        Box::new(FuseRope),
        Box::new(FuseEpilogue),
        Box::new(FuseNorm),
        Box::new(Place::new(placement)),
        Box::new(LayOut),
        Box::new(Narrow),
    ]
}

/// Runs one pass; the verifier checks the program afterwards.
pub fn run_pass(pass: &dyn Pass, program: &mut Program, ctx: &Context) -> Result<()> {
    pass.run(program, ctx)?;
    program.stage = program.stage.max(pass.reaches());
    verify::verify(program).map_err(|e| Error::bug(format!("after pass {}: {e}", pass.name())))
}

/// Runs all passes; after each, `after_each` may look at the program.
pub fn run_passes(
    program: &mut Program,
    ctx: &Context,
    after_each: &mut dyn FnMut(&str, &Program) -> Result<()>,
) -> Result<()> {
    for pass in pipeline() {
        run_pass(&*pass, program, ctx)?;
        after_each(pass.name(), program)?;
    }
    Ok(())
}
