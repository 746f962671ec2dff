//! Extents with names in them: sums of products, so that `2*(patches/2)` and `patches` can be told equal.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A polynomial with whole coefficients; no term has coefficient 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(BTreeMap<Vec<Arc<str>>, i64>);

impl Size {
    /// A number.
    pub fn is(n: i64) -> Size {
        Size(if n == 0 { BTreeMap::new() } else { [(vec![], n)].into() })
    }

    /// A name.
    pub fn named(name: &str) -> Size {
        Size([(vec![name.into()], 1)].into())
    }

    /// The number, if it has no names.
    pub fn known(&self) -> Option<i64> {
        match self.0.len() {
            0 => Some(0),
            1 => self.0.get(&vec![]).copied(),
            _ => None,
        }
    }

    /// `self + k other`; none on overflow.
    pub fn plus(&self, k: i64, other: &Size) -> Option<Size> {
        let mut terms = self.0.clone();
        for (names, n) in &other.0 {
            let sum = terms.get(names).copied().unwrap_or(0).checked_add(n.checked_mul(k)?)?;
            if sum == 0 {
                terms.remove(names)
            } else {
                terms.insert(names.clone(), sum)
            };
        }
        Some(Size(terms))
    }

    /// The product; none on overflow.
    pub fn times(&self, other: &Size) -> Option<Size> {
        let mut sum = Size::is(0);
        for (a, n) in &self.0 {
            for (b, m) in &other.0 {
                let mut names = [a.as_slice(), b].concat();
                names.sort();
                sum = sum.plus(1, &Size([(names, n.checked_mul(*m)?)].into()))?;
            }
        }
        Some(sum)
    }

    /// The quotient, if `other` is one term that divides every term.
    pub fn over(&self, other: &Size) -> Option<Size> {
        let (divisor, d) = other.0.first_key_value().filter(|_| other.0.len() == 1)?;
        let mut terms = BTreeMap::new();
        for (names, n) in &self.0 {
            let mut rest = names.clone();
            for name in divisor {
                rest.remove(rest.iter().position(|r| r == name)?);
            }
            terms.insert(rest, n.checked_rem(*d).filter(|r| *r == 0).and(n.checked_div(*d))?);
        }
        Some(Size(terms))
    }
}

/// The product of extents.
pub fn product(sizes: &[Size]) -> Option<Size> {
    sizes.iter().try_fold(Size::is(1), |p, s| p.times(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_compare_by_value() {
        let (a, b) = (Size::named("a"), Size::named("b"));
        let sum = a.plus(2, &b).expect("small");
        assert_eq!(sum.times(&a), a.times(&a).and_then(|aa| aa.plus(2, &b.times(&a)?)));
        assert_eq!(a.times(&Size::is(14)).and_then(|x| x.over(&Size::is(14))), Some(a.clone()));
        assert_eq!(a.plus(-1, &a), Some(Size::is(0)));
        assert_eq!(a.over(&b), None);
        assert_eq!(Size::is(7).over(&Size::is(2)), None);
        assert_eq!(Size::is(i64::MAX).plus(1, &Size::is(1)), None);
        assert_eq!(Size::is(1).over(&Size::is(0)), None);
    }
}
