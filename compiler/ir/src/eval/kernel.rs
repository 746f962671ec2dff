//! The value of a kernel: what emitted code is tested against.

use super::machine::stored_rows;
use super::tensor::HostTensor;
use super::{eval_epilogue, eval_node};
use crate::encode;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::op::Op;

/// Value of a kernel on `args` (inputs, then epilogue operands), whose shapes give the sizes of the call; quantized
/// arguments hold what they stand for. A `Store` gives the rows as they are stored: rotated, rounded to the state's
/// format. `at`, the row from which on it stores, changes no value; it must leave room in the state.
pub fn eval_kernel(kernel: &Kernel, args: &[HostTensor], at: Option<u32>) -> Result<HostTensor> {
    if args.len() != kernel.args.len() {
        return Err(Error::bug(format!("{kernel}: {} arguments, found {}", kernel.args.len(), args.len())));
    }
    let args: Vec<&HostTensor> = args.iter().collect();
    if !matches!(kernel.op, Op::Store { .. }) {
        return eval_node(&kernel.op, &kernel.epilogue, &args);
    }
    let x = eval_epilogue(&kernel.epilogue, stored_rows(&args)?, &[])?;
    let end = u64::from(at.unwrap_or(0)) + x.rows() as u64;
    if end > kernel.result.max_rows() || x.width() != kernel.result.width() as usize {
        return Err(Error::bug(format!("{kernel}: {:?} from row {at:?} on do not fit the state", x.shape)));
    }
    let values = encode::round_trip(&kernel.result, x.rows() as u64, &x.data)?;
    HostTensor::new(x.shape, values)
}
