//! Lists of launches as the program on the DSP reads them, little endian, all parts at multiples of 8:
//!
//! list: `u32 count, u32 0`, then launches. Launch: `u32 kernel, u32 arguments, u32 dims, u32 scalars, i64 begin, i64 end`
//! (work units; -1: to the last), arguments `{u32 region, u32 offset, i64 stride}`, dims `i64`, scalars `f32`, their
//! number rounded up to even.

use crate::device::accelerator::Launch;
use crate::error::{Error, Result};

/// Writes `launches` over what `out` held.
///
/// # Errors
/// `Bug` if a number does not fit: an offset of 4 GB or more.
pub fn encode(launches: &[Launch], out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    count(launches.len(), out)?;
    count(0, out)?;
    for launch in launches {
        encode_launch(launch, out)?;
    }
    Ok(())
}

fn encode_launch(launch: &Launch, out: &mut Vec<u8>) -> Result<()> {
    for n in [launch.kernel, launch.args.len(), launch.dims.len(), launch.scalars.len()] {
        count(n, out)?;
    }
    out.extend(0i64.to_le_bytes());
    out.extend((-1i64).to_le_bytes());
    for argument in launch.args {
        count(argument.region, out)?;
        let offset = u32::try_from(argument.offset);
        let far = |_| Error::Bug(format!("an argument at byte {} of its region, past 32 bits", argument.offset));
        out.extend(offset.map_err(far)?.to_le_bytes());
        out.extend(argument.stride.to_le_bytes());
    }
    launch.dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
    launch.scalars.iter().for_each(|s| out.extend(s.to_le_bytes()));
    if launch.scalars.len() % 2 == 1 {
        out.extend([0; 4]);
    }
    Ok(())
}

fn count(n: usize, out: &mut Vec<u8>) -> Result<()> {
    let n = u32::try_from(n).map_err(|_| Error::Bug(format!("{n} in a list of launches")))?;
    out.extend(n.to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::accelerator::Argument;
    use proptest::prelude::*;

    fn length(args: usize, dims: usize, scalars: usize) -> usize {
        32 + 16 * args + 8 * dims + 8 * scalars.div_ceil(2)
    }

    proptest! {
        #[test]
        fn parts_lie_at_multiples_of_8(args in 0usize..9, dims in 0usize..6, scalars in 0usize..6, n in 1usize..4) {
            let (args, dims, scalars) = (vec![Argument::default(); args], vec![7i64; dims], vec![0.5f32; scalars]);
            let launch = || Launch { kernel: 3, args: &args, dims: &dims, scalars: &scalars };
            let launches: Vec<Launch> = (0..n).map(|_| launch()).collect();
            let mut out = vec![1; 5];
            encode(&launches, &mut out).expect("encoded");
            prop_assert_eq!(out.len(), 8 + n * length(args.len(), dims.len(), scalars.len()));
            prop_assert_eq!(out[0] as usize, n);
        }
    }

    #[test]
    fn far_offsets_are_refused() {
        let args = [Argument { region: 0, offset: 1 << 32, stride: 0 }];
        let launch = Launch { kernel: 0, args: &args, dims: &[], scalars: &[] };
        assert!(encode(&[launch], &mut Vec::new()).is_err());
    }
}
