//! All kernels of a model as one text, each with the schedule that records name.

use crate::record::Records;
use mcv_ir::target::{Level, Mode, Schedule, Target};
use mcv_ir::{Error, Kernel, Result};

/// The recorded schedule where there is one that the target still knows, else its default.
///
/// # Errors
/// The target has no schedule for the kernel.
pub fn schedule(kernel: &Kernel, target: &dyn Target, level: &Level, records: &Records) -> Result<Schedule> {
    let schedules = target.schedules(kernel, level);
    let recorded = records.schedule(kernel, target.unit(), level.name).filter(|s| schedules.contains(s));
    recorded.or(schedules.into_iter().next()).ok_or_else(|| Error::bug(format!("no schedule for {kernel}")))
}

/// Whether records name another schedule than the default for a kernel.
pub fn is_changed(kernel: &Kernel, target: &dyn Target, level: &Level, records: &Records) -> bool {
    let default = target.schedules(kernel, level).into_iter().next();
    default.is_some() && schedule(kernel, target, level, records).ok() != default
}

/// Prelude and kernels, each with the name of its function, in that order.
///
/// # Errors
/// The target does not emit one of them.
pub fn source<'a>(
    kernels: impl Iterator<Item = (&'a str, &'a Kernel)>,
    target: &dyn Target,
    level: &Level,
    records: &Records,
) -> Result<String> {
    let mut text = target.prelude(level);
    for (symbol, kernel) in kernels {
        let schedule = schedule(kernel, target, level, records)?;
        text.push_str(&format!("\n/* {kernel} */\n"));
        text.push_str(&target.emit(kernel, symbol, level, &schedule, Mode::Specialized)?.body);
    }
    Ok(text)
}
