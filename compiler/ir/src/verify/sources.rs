//! Weights: types, and sources that give as many numbers as the type says.

use super::{all_known, verify_graph};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::infer::Env;
use crate::op::Op;
use crate::program::{Program, Source, Weight, WeightId};
use std::collections::HashSet;

/// Sources under each other may be nested this deep.
const MAX_DEPTH: usize = 8;

pub(super) fn verify_weights(program: &Program) -> Result<()> {
    let mut names = HashSet::new();
    for weight in &program.weights {
        let place = format!("weight {}", weight.name);
        weight.ty.check().map_err(|e| e.at(&place))?;
        if !all_known(&weight.ty) {
            return Err(Error::bug(format!("{place}: the shape {} must be known", weight.ty)));
        }
        if !names.insert(weight.name.as_str()) {
            return Err(Error::bug(format!("{place} exists twice")));
        }
        verify_source(weight, program).map_err(|e| e.at(&place))?;
    }
    verify_folding_ends(program)
}

fn verify_source(weight: &Weight, program: &Program) -> Result<()> {
    // A vector is stacked number by number, everything else row by row.
    let (rows, width) = match weight.ty.shape.len() {
        0 | 1 => (weight.ty.max_len(), 1),
        _ => (weight.ty.max_rows(), u64::from(weight.ty.width())),
    };
    let found = rows_of(&weight.source, width, program, 0)?;
    if found == Some(rows) || found.is_none() {
        return Ok(());
    }
    Err(Error::bug(format!("its source has {} rows, {} needs {rows}", found.unwrap_or(0), weight.ty)))
}

/// Rows of width `width` that a source gives; `None` where only the checkpoint knows.
fn rows_of(source: &Source, width: u64, program: &Program, depth: usize) -> Result<Option<u64>> {
    match source {
        Source::Stored { rows, tensor, .. } if rows.end <= rows.start => {
            Err(Error::bug(format!("rows {}..{} of {tensor} are none", rows.start, rows.end)))
        }
        Source::Stored { rows, transposed: true, .. } if u64::from(rows.end - rows.start) != width => {
            let found = rows.end - rows.start;
            Err(Error::bug(format!("the transpose of {found} rows has width {found}, not {width}")))
        }
        Source::Stored { transposed: true, .. } => Ok(None),
        Source::Stored { rows, .. } => Ok(Some(u64::from(rows.end - rows.start))),
        Source::Inline(values) if !(values.len() as u64).is_multiple_of(width) => {
            Err(Error::bug(format!("{} inline numbers are not rows of width {width}", values.len())))
        }
        Source::Inline(values) => Ok(Some(values.len() as u64 / width)),
        Source::Stacked(_) if depth > MAX_DEPTH => Err(Error::bug("sources are stacked too deep")),
        Source::Stacked(parts) => {
            let mut rows = parts.iter().map(|p| rows_of(p, width, program, depth + 1));
            rows.try_fold(Some(0), |sum, n| Ok(sum.zip(n?).map(|(a, b)| a + b)))
        }
        Source::Folded(graph) => folded_rows(graph, width, program).map(Some),
    }
}

fn folded_rows(graph: &Graph, width: u64, program: &Program) -> Result<u64> {
    verify_graph(graph, &Env::of(program)).map_err(|e| e.at("folded graph"))?;
    let mut outputs = vec![];
    for id in graph.order() {
        match graph.node(id).op {
            Op::Output(_) => outputs.push(id),
            Op::Input(_) | Op::State(_) | Op::Store { .. } => {
                return Err(Error::bug(format!("folded graph: node {} is no constant", graph.node(id).name)));
            }
            _ => {}
        }
    }
    let [output] = outputs[..] else {
        return Err(Error::bug(format!("folded graph: {} outputs instead of one", outputs.len())));
    };
    let ty = &graph.node(output).ty;
    let found = if ty.shape.len() <= 1 && width == 1 { 1 } else { u64::from(ty.width()) };
    if found != width {
        return Err(Error::bug(format!("folded graph gives {ty}, but rows of width {width} are needed")));
    }
    Ok(ty.max_len() / width)
}

/// No weight is folded from itself.
fn verify_folding_ends(program: &Program) -> Result<()> {
    let needs: Vec<Vec<WeightId>> = program.weights.iter().map(|w| weights_of(&w.source)).collect();
    let mut done = vec![false; needs.len()];
    // Each round settles the weights whose own needs are settled; a round without progress is a circle.
    loop {
        let ready: Vec<usize> = (0..needs.len())
            .filter(|&w| !done[w] && needs[w].iter().all(|n| done.get(n.0 as usize).copied().unwrap_or(true)))
            .collect();
        if ready.is_empty() {
            break;
        }
        ready.into_iter().for_each(|w| done[w] = true);
    }
    match done.iter().position(|d| !d) {
        Some(w) => Err(Error::bug(format!("weight {} is folded from itself", program.weights[w].name))),
        None => Ok(()),
    }
}

fn weights_of(source: &Source) -> Vec<WeightId> {
    match source {
        Source::Stacked(parts) => parts.iter().flat_map(weights_of).collect(),
        Source::Folded(graph) => graph
            .order()
            .into_iter()
            .filter_map(|id| match graph.node(id).op {
                Op::Weight(weight) => Some(weight),
                _ => None,
            })
            .collect(),
        _ => vec![],
    }
}
