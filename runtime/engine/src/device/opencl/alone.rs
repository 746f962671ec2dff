//! One kernel alone on arguments of its own, timed: candidates of a tuning.

use super::{OpenCl, Text};
use crate::device::accelerator::{Accelerator, Argument, Launch, Weights};
use crate::error::{Error, Result};
use memmap2::MmapMut;
use serde_json::Value;
use std::path::Path;
use std::time::Instant;

/// Launches are repeated until they take as long as this together: submitting costs, too. Seconds.
const LEAST_SECONDS: f64 = 5e-3;
/// Launches of one measurement at most.
const MOST_LAUNCHES: f64 = 1000.0;
/// Arguments of a kernel at most.
const MOST_ARGS: usize = 64;

/// What a kernel is called with.
///
/// As JSON: `{"args": [{"bytes", "stride", "fill"}], "dims": [..], "scalars": [..]}`, the result last; `fill` is the byte
/// that all bytes of an argument have.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    args: Vec<(u64, i64, u8)>,
    dims: Vec<i64>,
    scalars: Vec<f32>,
}

impl Call {
    /// Reads JSON.
    ///
    /// # Errors
    /// `Input`: it has another form, by field.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| Error::Input(format!("a kernel's call: {what}"));
        let value: Value = serde_json::from_str(text).map_err(|e| wrong(&e.to_string()))?;
        let list = |name: &str| value.get(name).and_then(Value::as_array).ok_or_else(|| wrong(&format!("no {name}")));
        let arg = |arg: &Value| {
            let fill = u8::try_from(arg.get("fill")?.as_u64()?).ok()?;
            Some((arg.get("bytes")?.as_u64().filter(|n| *n > 0)?, arg.get("stride")?.as_i64()?, fill))
        };
        let args: Option<Vec<_>> = list("args")?.iter().map(arg).collect();
        let args = args.filter(|a| (1..=MOST_ARGS).contains(&a.len()));
        let dims: Option<Vec<i64>> = list("dims")?.iter().map(Value::as_i64).collect();
        let scalars: Option<Vec<f32>> = list("scalars")?.iter().map(|s| Some(s.as_f64()? as f32)).collect();
        Ok(Call {
            args: args.ok_or_else(|| wrong("args need bytes, stride and fill, the result last"))?,
            dims: dims.ok_or_else(|| wrong("dims are whole numbers"))?,
            scalars: scalars.ok_or_else(|| wrong("scalars are numbers"))?,
        })
    }
}

/// A kernel that is built, with its arguments.
pub struct Alone {
    // Dropped before the memory that it reads.
    device: OpenCl,
    _inputs: Vec<MmapMut>,
    arguments: Vec<Argument>,
    call: Call,
    launches: Option<usize>,
}

impl Alone {
    /// Builds the kernel `symbol` of a text on the system's device.
    ///
    /// # Errors
    /// There is no device, it can't build the text, or has no room for the arguments.
    pub fn new(source: &str, symbol: &str, call: Call) -> Result<Self> {
        let largest = call.args.iter().map(|(bytes, ..)| *bytes).max().unwrap_or(0);
        let symbols = [symbol.to_owned()];
        let mut device = OpenCl::open(&Text { source, symbols: &symbols, segment: largest, cache: None })?;
        if !device.has(0) {
            return Err(Error::Device(format!("{symbol}: groups larger than this device runs")));
        }
        let (mut inputs, mut arguments) = (Vec::new(), Vec::new());
        let (result, args) = call.args.split_last().ok_or_else(|| Error::Bug("a call without a result".into()))?;
        for (index, (bytes, stride, fill)) in args.iter().enumerate() {
            let name = format!("argument {index}");
            let failed = |e: String| Error::Device(format!("no memory for {name} ({bytes} bytes): {e}"));
            let length = usize::try_from(*bytes).map_err(|e| failed(e.to_string()))?;
            let mut memory = MmapMut::map_anon(length).map_err(|e| failed(e.to_string()))?;
            memory.fill(*fill);
            let weights = Weights { name: &name, path: Path::new(""), offset: 0, bytes: &memory };
            arguments.push(Argument { region: device.attach(&weights)?, offset: 0, stride: *stride });
            inputs.push(memory);
        }
        let region = device.allocate(result.0, "the result")?.region;
        arguments.push(Argument { region, offset: 0, stride: result.1 });
        device.hand_over(false)?;
        Ok(Alone { device, _inputs: inputs, arguments, call, launches: None })
    }

    /// Device and driver.
    pub fn describe(&self) -> String {
        self.device.describe()
    }

    /// Seconds of a launch: a mean over as many as make submitting cheap.
    ///
    /// # Errors
    /// The driver refuses, or the device is gone.
    pub fn time(&mut self) -> Result<f64> {
        let launches = match self.launches {
            Some(launches) => launches,
            None => {
                // The first pays for pages and for what the driver puts off.
                self.submit(1)?;
                let once = self.submit(1)?.max(1e-9);
                *self.launches.insert((LEAST_SECONDS / once).ceil().clamp(1.0, MOST_LAUNCHES) as usize)
            }
        };
        Ok(self.submit(launches)? / launches as f64)
    }

    fn submit(&mut self, count: usize) -> Result<f64> {
        let (args, call) = (&self.arguments, &self.call);
        let launch = || Launch { kernel: 0, args, dims: &call.dims, scalars: &call.scalars };
        let launches: Vec<Launch> = (0..count).map(|_| launch()).collect();
        let started = Instant::now();
        self.device.run(&launches)?;
        Ok(started.elapsed().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
/* mcv launch candidate local 64 1 1 groups d0/64 1 1 */
__kernel void candidate(__global const uchar *b0, const ulong o0, const long s0, __global uchar *b1, const ulong o1,
                        const long s1, const int d0) {
    const int i = get_global_id(0);
    if (i < d0) b1[o1 + i] = b0[o0 + i];
}
";

    fn call(args: &str) -> Result<Call> {
        Call::parse(&format!(r#"{{"args": [{args}], "dims": [100], "scalars": []}}"#))
    }

    #[test]
    fn calls_that_say_too_little_are_refused() {
        let good = r#"{"bytes": 8, "stride": 4, "fill": 60}"#;
        assert_eq!(call(good).map(|c| c.args).ok(), Some(vec![(8, 4, 60)]));
        for bad in ["", "7", r#"{"bytes": 0, "stride": 4, "fill": 60}"#, r#"{"bytes": 8, "stride": 4, "fill": 600}"#] {
            assert!(call(bad).is_err(), "{bad}");
        }
        assert!(call(&vec![good; MOST_ARGS + 1].join(",")).is_err());
        for bad in ["", "{}", r#"{"args": {}, "dims": [], "scalars": []}"#] {
            assert!(Call::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_kernel_alone_is_timed() {
        let arg = r#"{"bytes": 100, "stride": 100, "fill": 60}"#;
        let open = |source| Alone::new(source, "candidate", call(&format!("{arg}, {arg}")).expect("a call"));
        match open(SOURCE) {
            Ok(mut alone) => {
                assert!(alone.time().expect("a time") > 0.0 && !alone.describe().is_empty());
                assert!(open("no OpenCL C").is_err());
            }
            Err(why) => {
                let text = why.to_string();
                assert!(text.contains("no OpenCL library") || text.contains("finds no device"), "{text}");
                let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: {why}\n").as_bytes());
            }
        }
    }
}
