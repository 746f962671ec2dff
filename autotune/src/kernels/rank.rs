//! A cost model of schedules: which candidates are worth compiling, likeliest first. It knows registers and rows, no
//! cache and no port; measuring has the last word.

use mcv_ir::target::Schedule;
use mcv_ir::{Dim, Kernel, Op};

/// Candidates of a kernel that are compiled at most, the default among them.
pub const MOST: usize = 12;
/// The same where a prior says what won elsewhere.
pub const MOST_WITH_PRIOR: usize = 6;
/// Cost of a sum that does not fit the registers, as a share of a product.
const SPILL: f64 = 3.0;
/// Cost of a trip's bookkeeping, in products.
const TRIP: f64 = 1.0;
/// Gain of weights that were fetched ahead, as a share of the whole, where one row streams all of them.
const AHEAD: f64 = 0.05;

/// Schedules by expected cost; the first of `all`, the default, stays first: the others are compared with it.
pub fn ranked(kernel: &Kernel, mut all: Vec<Schedule>) -> Vec<Schedule> {
    let Some(default) = all.first().cloned() else { return all };
    all[1..].sort_by(|a, b| cost(kernel, &default, a).total_cmp(&cost(kernel, &default, b)));
    all.truncate(MOST);
    all
}

/// The same with the winner of another machine behind the default, and fewer others. A prior that the target no longer
/// lists says nothing.
pub fn with_prior(mut ranked: Vec<Schedule>, prior: Option<Schedule>) -> Vec<Schedule> {
    let Some(at) = prior.and_then(|p| ranked.iter().position(|s| *s == p)) else { return ranked };
    if at > 0 {
        ranked[1..=at].rotate_right(1);
    }
    ranked.truncate(MOST_WITH_PRIOR);
    ranked
}

/// Expected time per product, in no unit. The default's sums are taken to just fit the registers: targets choose it so.
pub fn cost(kernel: &Kernel, default: &Schedule, schedule: &Schedule) -> f64 {
    let rows = kernel.args.first().and_then(|x| x.shape.first()).map_or(1, Dim::max).max(1);
    let (m, n) = (f64::from(schedule.tile_m.max(1)), f64::from(schedule.tile_n.max(1)));
    match kernel.op {
        Op::MatMul => {
            let products = m * n;
            let room = f64::from(default.tile_m.max(1) * default.tile_n.max(1));
            let spilled = (products - room).max(0.0) * SPILL;
            let loads = n + 0.5 * m;
            let trip = TRIP / f64::from(schedule.unroll.max(1));
            let ahead = if rows == 1 && schedule.prefetch > 0 { 1.0 - AHEAD } else { 1.0 };
            (products + loads + spilled + trip) / products * idle(rows, schedule.tile_m) * ahead
        }
        _ => (1.0 + 1.0 / m) * idle(rows, schedule.tile_m),
    }
}

/// Rows that are computed over rows that are wanted.
fn idle(rows: u32, tile: u32) -> f64 {
    f64::from(rows.div_ceil(tile.max(1)) * tile.max(1)) / f64::from(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcv_ir::TensorType;

    #[test]
    fn a_prior_comes_second_and_saves_candidates() {
        let of = |tile_m| Schedule { tile_m, tile_n: 1, unroll: 1, prefetch: 0 };
        let all: Vec<Schedule> = (1..=9).map(of).collect();
        let tiles = |prior| with_prior(all.clone(), prior).iter().map(|s| s.tile_m).collect::<Vec<_>>();
        assert_eq!(tiles(Some(of(8))), [1, 8, 2, 3, 4, 5]);
        assert_eq!(tiles(Some(of(1))), [1, 2, 3, 4, 5, 6]);
        assert_eq!((tiles(Some(of(77))).len(), tiles(None).len()), (9, 9));
        assert_eq!(with_prior(vec![], Some(of(1))), []);
    }

    #[test]
    fn tiles_that_fit_come_before_those_that_spill_or_idle() {
        let ty = |text: &str| TensorType::parse(text).expect("a type");
        let kernel = |m: u32| {
            let args = vec![ty(&format!("f32[{m},64]")), ty("f32[64,64]")];
            Kernel::new(Op::MatMul, vec![], args, ty(&format!("f32[{m},64]")))
        };
        let of = |tile_m, tile_n| Schedule { tile_m, tile_n, unroll: 1, prefetch: 0 };
        let all = vec![of(8, 1), of(64, 8), of(1, 1), of(4, 2)];
        assert_eq!(ranked(&kernel(64), all.clone()), [of(8, 1), of(4, 2), of(1, 1), of(64, 8)]);
        assert_eq!(ranked(&kernel(1), all)[1], of(1, 1));
        assert_eq!(ranked(&kernel(1), vec![]), []);
        let many = (1..99).map(|m| of(m, 1)).collect();
        assert_eq!(ranked(&kernel(9), many).len(), MOST);
    }
}
