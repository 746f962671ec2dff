//! Text back to kernels: `matmul(T, T, T) {bias, gelu} -> T`.

use super::lex::Token;
use super::ops;
use super::parse::Parser;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::op::{Op, Pointwise};
use crate::program::StateId;
use crate::types::TensorType;

impl Kernel {
    /// Reads what a kernel prints. The result is well-formed, not meaningful: whether its arguments suit its op is for
    /// [`crate::target::Target::supports`] to say.
    ///
    /// # Errors
    /// Where the text departs from the form, by line and column.
    pub fn parse(text: &str) -> Result<Kernel> {
        let form = || Error::input("a kernel reads `op(types) -> type`");
        let (call, result) = text.rsplit_once(" -> ").ok_or_else(form)?;
        let result = TensorType::parse(result)?;
        let (op, args, epilogue) = Parser::new(call)?.kernel_call()?;
        Ok(Kernel::new(op, epilogue, args, result))
    }
}

impl Parser {
    fn kernel_call(&mut self) -> Result<(Op, Vec<TensorType>, Vec<Pointwise>)> {
        let spot = self.spot();
        let name = self.word("an op")?;
        let (args, mut attributes) = self.kernel_arguments()?;
        let op = match name.as_str() {
            "store" => Some(Op::Store { state: StateId(0), at: String::new() }),
            _ => ops::op(&name, &mut attributes),
        };
        let op = op.ok_or_else(|| spot.fail(format_args!("no op {name}, or one of its attributes is wrong")))?;
        if let Some((left, _)) = attributes.0.first() {
            return Err(spot.fail(format_args!("{name} has no attribute {left}")));
        }
        let mut epilogue = vec![];
        if self.accept('{') {
            while !self.accept('}') {
                if !epilogue.is_empty() {
                    self.mark(',')?;
                }
                epilogue.push(self.kernel_step()?);
            }
        }
        self.end()?;
        Ok((op, args, epilogue))
    }

    /// `(q8/32[1,64]@summed, f32[64], eps=1e-6)`.
    fn kernel_arguments(&mut self) -> Result<(Vec<TensorType>, ops::Attributes)> {
        let (mut args, mut attributes) = (vec![], ops::Attributes(vec![]));
        self.mark('(')?;
        while !self.accept(')') {
            if !(args.is_empty() && attributes.0.is_empty()) {
                self.mark(',')?;
            }
            if *self.peek(1) == Token::Mark('=') {
                let name = self.word("an attribute")?;
                self.skip();
                attributes.0.push((name, self.value()?));
            } else {
                args.push(self.ty()?);
            }
        }
        Ok((args, attributes))
    }

    fn kernel_step(&mut self) -> Result<Pointwise> {
        let spot = self.spot();
        let name = self.word("element-wise work")?;
        let numbered = matches!(name.as_str(), "scale" | "quantize");
        if !numbered {
            return ops::pointwise(&name)
                .ok_or_else(|| spot.fail(format_args!("there is no element-wise work {name}")));
        }
        self.mark('(')?;
        let work = match name.as_str() {
            "scale" => Pointwise::Scale(self.float()?),
            _ => Pointwise::Quantize { group: self.number("a group size")? },
        };
        self.mark(')')?;
        Ok(work)
    }
}
