//! Where nothing can be compiled: the levels that a model ships are its kernels' variants. They are halved like
//! schedules, each in an agent's process of its own, by the time of all phases together.

use crate::device::{Device, Hello};
use crate::kernels::halve::halve;
use crate::space;
use mcv_ir::{Error, Result};

/// Starts a device at a level.
pub type Start<'a> = dyn Fn(&str) -> Result<Box<dyn Device>> + 'a;

/// The device at the fastest of its levels; the best by name, which comes first, unless another is surely faster.
///
/// # Errors
/// No level starts.
pub fn fastest(hello: &Hello, start: &Start, runs: usize, tell: &mut dyn FnMut(&str)) -> Result<Box<dyn Device>> {
    let mut devices: Vec<Option<Box<dyn Device>>> = hello.levels.iter().map(|_| None).collect();
    let verdict = halve(hello.levels.len(), runs, &mut |index| {
        let mut run = || -> Result<f64> {
            let device = match &mut devices[index] {
                Some(device) => device,
                none => none.insert(start(&hello.levels[index])?),
            };
            let mut seconds = 0.0;
            for phase in &hello.phases {
                seconds += device.measure(phase, &space::default(hello, phase))?.seconds;
            }
            Ok(seconds)
        };
        Ok(run().inspect_err(|why| tell(&format!("level {}: {why}", hello.levels[index]))).ok())
    })?;
    let level = hello.levels.get(verdict.best).ok_or_else(|| Error::input("the model has no levels for this CPU"))?;
    tell(&format!(
        "level {level}: {:.4} s for all phases, the default's {:.4} s",
        verdict.seconds, verdict.default_seconds
    ));
    start(level)
}
