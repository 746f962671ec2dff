//! The search: each unit in turn takes what it can and the CPU the rest; runs of tasks then go back and forth while that
//! pays; the cheapest of all ways wins.

use super::problem::{Maker, Problem};
use mcv_ir::{Error, Result};

/// Rounds of refinement; each tries every run and every task.
const ROUNDS: usize = 6;

/// Who runs what, and what it costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// Unit of each task, as an index.
    pub units: Vec<usize>,
    /// Seconds of the whole phase at typical sizes.
    pub seconds: f64,
    /// Of these: copies.
    pub moving: f64,
    /// Values copied from unit to unit.
    pub moves: usize,
    /// Times another unit than the CPU is started and waited for.
    pub calls: usize,
}

/// Calls that refinement may add: what waiting in between does to a unit's clock is in no price.
const MORE_CALLS: usize = 4;
/// Ways whose times differ by less count as equal: the model can't tell them apart.
const EQUAL: f64 = 1.1;

/// The cheapest way; of equal ones the one with fewest calls. With `wish` the one that gives that unit all it can run.
pub(super) fn choose(problem: &Problem, wish: Option<&str>) -> Result<Way> {
    let mains = (0..problem.units.len()).filter(|u| wish.is_none_or(|w| problem.units[*u] == w));
    let (mut ways, mut reasons) = (vec![], vec![]);
    for main in mains {
        match with_main(problem, main) {
            Ok(way) => {
                ways.extend(wish.is_none().then(|| refined(problem, main, &way)).flatten());
                ways.push(way);
            }
            Err(e) => reasons.push(e),
        }
    }
    let least = ways.iter().map(|w| w.seconds).fold(f64::INFINITY, f64::min);
    ways.retain(|w| w.seconds <= least * EQUAL);
    let best = ways.into_iter().min_by(|a, b| a.calls.cmp(&b.calls).then(a.seconds.total_cmp(&b.seconds)));
    best.ok_or_else(|| reasons.pop().unwrap_or_else(|| Error::unsupported("there is no unit")))
}

/// `main` takes what it can, the CPU the rest, or whoever can when the CPU can't.
pub(super) fn with_main(problem: &Problem, main: usize) -> Result<Way> {
    let mut units = vec![];
    for task in &problem.tasks {
        let able = |u: &usize| task.prices[*u].is_ok();
        let choice = [main, problem.cpu].into_iter().chain(0..problem.units.len()).find(able);
        units.push(choice.ok_or_else(|| nobody(problem, task))?);
    }
    if main != problem.cpu && !units.contains(&main) {
        return Err(Error::unsupported(format!("{} runs none of its ops", problem.units[main])));
    }
    let way = price(problem, units);
    fits(problem, main, &way)?;
    Ok(way)
}

/// Weights fit into the unit's addresses, values can be copied.
fn fits(problem: &Problem, main: usize, way: &Way) -> Result<()> {
    let (unit, limit) = (problem.units[main], problem.limits[main]);
    let bytes = problem.weight_bytes(&way.units, main);
    if bytes > limit {
        return Err(Error::unsupported(format!("{unit}: weights of {} MiB; it maps {}", bytes >> 20, limit >> 20)));
    }
    match way.seconds.is_finite() {
        true => Ok(()),
        false => Err(Error::unsupported(format!("{unit}: a value can't be copied to it"))),
    }
}

fn nobody(problem: &Problem, task: &super::problem::Task) -> Error {
    let reasons = problem.units.iter().zip(&task.prices);
    let reasons: Vec<String> = reasons.filter_map(|(u, p)| Some(format!("{u}: {}", p.as_ref().err()?))).collect();
    Error::unsupported(format!("no unit runs {} ({})", task.kernel, reasons.join("; ")))
}

/// Prices an assignment: tasks, copies, and one call for each run of tasks that nothing interrupts.
pub(super) fn price(problem: &Problem, units: Vec<usize>) -> Way {
    let mut way = Way { units, seconds: 0.0, moving: 0.0, moves: 0, calls: 0 };
    let mut there = vec![0u8; problem.values.len()];
    let mut copy = |way: &mut Way, value: usize, to: usize| -> bool {
        let home = match problem.values[value].maker {
            Maker::Input => problem.cpu,
            Maker::Task(t) => way.units[t],
        };
        if home == to || there[value] & (1 << to) != 0 {
            return false;
        }
        there[value] |= 1 << to;
        way.moving += problem.values[value].copy.unwrap_or(f64::INFINITY);
        way.moves += 1;
        true
    };
    let mut before = problem.cpu;
    for (t, task) in problem.tasks.iter().enumerate() {
        let unit = way.units[t];
        let copied = task.reads.iter().fold(false, |any, v| copy(&mut way, *v, unit) | any);
        if unit != problem.cpu && (unit != before || copied) {
            way.seconds += problem.calls[unit];
            way.calls += 1;
        }
        way.seconds += task.prices[unit].as_ref().map_or(f64::INFINITY, |e| e.seconds);
        before = unit;
    }
    for value in &problem.outputs {
        copy(&mut way, *value, problem.cpu);
    }
    way.seconds += way.moving;
    way
}

/// Lets runs of tasks, then single tasks, change between `main` and the CPU while the phase gets cheaper; none when
/// nothing is gained.
fn refined(problem: &Problem, main: usize, plain: &Way) -> Option<Way> {
    let mut way = plain.clone();
    for _ in 0..ROUNDS {
        let before = way.seconds;
        let mut candidates = runs(&way.units);
        candidates.extend((0..way.units.len()).map(|t| t..t + 1));
        for run in candidates {
            let better = flipped(problem, main, &way, run);
            if let Some(better) = better.filter(|b| b.calls <= plain.calls + MORE_CALLS) {
                way = better;
            }
        }
        if way.seconds >= before {
            break;
        }
    }
    (way.seconds < plain.seconds && fits(problem, main, &way).is_ok()).then_some(way)
}

/// Longest stretches of tasks on one unit.
fn runs(units: &[usize]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = vec![];
    for t in 0..units.len() {
        match runs.last_mut() {
            Some(run) if units[run.start] == units[t] => run.end = t + 1,
            _ => runs.push(t..t + 1),
        }
    }
    runs
}

fn flipped(problem: &Problem, main: usize, way: &Way, run: std::ops::Range<usize>) -> Option<Way> {
    let other = if way.units[run.start] == problem.cpu { main } else { problem.cpu };
    let mut units = way.units.clone();
    for t in run {
        if problem.tasks[t].prices[other].is_ok() {
            units[t] = other;
        }
    }
    let flipped = price(problem, units);
    (flipped.seconds < way.seconds).then_some(flipped)
}
