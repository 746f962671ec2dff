//! Einstein sums: any number of tensors, one letter an axis, `...` for broadcast axes.

use super::Call;
use crate::onnx::tensor::{Tensor, Why, count, strides, walk};
use std::collections::BTreeMap;

/// Axes by letter; those of an ellipsis get letters that nobody can write.
struct Equation {
    terms: Vec<Vec<char>>,
    result: Vec<char>,
}

const ELLIPSIS: char = '.';

pub fn einsum(call: &Call) -> Why<Vec<Tensor>> {
    let all = call.all()?;
    let equation = parse(call.text("equation", ""), &all.iter().map(|t| t.rank()).collect::<Vec<_>>())?;
    let sizes = sizes(&equation, &all)?;
    let letters: Vec<char> = {
        let summed = sizes.keys().filter(|c| !equation.result.contains(c));
        equation.result.iter().chain(summed).copied().collect()
    };
    let extents: Vec<usize> = letters.iter().map(|c| sizes[c]).collect();
    let total = count(&extents)?;
    let mut products = vec![1.0; total];
    for (term, t) in equation.terms.iter().zip(&all) {
        let own = strides(t.shape());
        let step = |c: &char| {
            let axes = term.iter().enumerate().filter(|(i, l)| *l == c && t.shape()[*i] != 1);
            axes.map(|(i, _)| own[i]).sum()
        };
        let steps: Vec<isize> = letters.iter().map(step).collect();
        let values = t.reals()?;
        let places = walk(&extents, &steps, 0)?;
        products.iter_mut().zip(places).for_each(|(p, i)| *p *= values[i]);
    }
    let shape = extents[..equation.result.len()].to_vec();
    let n = count(&shape)?;
    let group = total / n.max(1);
    let sums = if group == 0 { vec![0.0; n] } else { products.chunks_exact(group).map(|g| g.iter().sum()).collect() };
    Ok(vec![Tensor::real(all[0].dtype(), shape, sums)?])
}

fn parse(text: &str, ranks: &[usize]) -> Why<Equation> {
    let text: String = text.chars().filter(|c| *c != ' ').collect();
    let (left, right) = text.split_once("->").map_or((text.as_str(), None), |(l, r)| (l, Some(r)));
    let written: Vec<&str> = left.split(',').collect();
    if written.len() != ranks.len() {
        return Err(format!("attribute equation: {text:?} has {} terms for {} inputs", written.len(), ranks.len()));
    }
    let plain = |t: &str| t.chars().filter(|c| c.is_ascii_alphabetic()).count();
    let hidden = written.iter().zip(ranks).filter(|(t, _)| t.contains("..."));
    let hidden = hidden.map(|(t, rank)| rank.saturating_sub(plain(t))).max().unwrap_or(0);
    let mut terms = Vec::new();
    for (t, &rank) in written.iter().zip(ranks) {
        let own = if t.contains("...") { rank.saturating_sub(plain(t)) } else { 0 };
        let term = term(t, hidden, own)?;
        if term.len() != rank {
            return Err(format!("attribute equation: {t:?} for a tensor of rank {rank}"));
        }
        terms.push(term);
    }
    let result = match right {
        Some(r) => term(r, hidden, hidden)?,
        None => implicit(&terms, hidden),
    };
    let known = result.iter().enumerate().all(|(i, c)| terms.concat().contains(c) && !result[..i].contains(c));
    if known { Ok(Equation { terms, result }) } else { Err(format!("attribute equation: {text:?}")) }
}

/// Letters of a term; its ellipsis stands for the last `own` of `hidden` axes.
fn term(text: &str, hidden: usize, own: usize) -> Why<Vec<char>> {
    let wrong = || format!("attribute equation: term {text:?} is not understood");
    let (before, after) = text.split_once("...").unwrap_or((text, ""));
    let letters = |t: &str| t.chars().map(|c| c.is_ascii_alphabetic().then_some(c)).collect::<Option<Vec<char>>>();
    let mut out = letters(before).ok_or_else(wrong)?;
    let secret = |i: usize| char::from_u32(0xE000 + i as u32).unwrap_or(ELLIPSIS);
    out.extend((hidden - own..hidden).map(secret));
    out.extend(letters(after).ok_or_else(wrong)?);
    Ok(out)
}

/// Without an arrow: hidden axes, then letters that come once, in order.
fn implicit(terms: &[Vec<char>], hidden: usize) -> Vec<char> {
    let all = terms.concat();
    let mut out = term("...", hidden, hidden).unwrap_or_default();
    let mut once: Vec<char> =
        all.iter().filter(|c| c.is_ascii() && all.iter().filter(|d| d == c).count() == 1).copied().collect();
    once.sort_unstable();
    out.extend(once);
    out
}

fn sizes(equation: &Equation, all: &[&Tensor]) -> Why<BTreeMap<char, usize>> {
    let mut sizes = BTreeMap::new();
    for (term, t) in equation.terms.iter().zip(all) {
        if t.dtype() != all[0].dtype() {
            return Err("inputs must be of one type".into());
        }
        for (c, &n) in term.iter().zip(t.shape()) {
            let size = sizes.entry(*c).or_insert(n);
            match (*size, n) {
                (a, b) if a == b => {}
                (1, n) => *size = n,
                (_, 1) => {}
                (a, b) => return Err(format!("axis {c:?} is {a} and {b}")),
            }
        }
    }
    Ok(sizes)
}
