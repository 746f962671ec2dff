//! How a kernel is launched: read from the comment before it, without knowing any op.
//!
//! ```c
//! /* mcv launch k3 local 64 1 1 groups d1/64 d0/8 1 image 1 waves */
//! ```
//!
//! The compiler's side is `mcv-targets`, module `opencl::launch`, which says what the words mean.

/// Most items per group that a text may ask for, and most factors of a number of groups.
const MOST_ITEMS: usize = 1024;
const MOST_FACTORS: usize = 8;

/// A launch rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Items per group along each axis.
    pub local: [usize; 3],
    groups: [Vec<Factor>; 3],
    /// Argument whose region is also passed as an image, in forms with images.
    pub image: Option<usize>,
    /// Whether items rely on whole waves, in forms with subgroups.
    pub waves: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Factor {
    divides: bool,
    atom: Atom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Atom {
    Number(i64),
    Dim(usize),
    Wave,
}

impl Rule {
    /// The rule of `symbol` in a text; none where it is missing or makes no sense.
    pub fn find(text: &str, symbol: &str) -> Option<Rule> {
        let start = format!("/* mcv launch {symbol} ");
        text.lines().find_map(|line| line.strip_prefix(start.as_str())).and_then(Rule::parse)
    }

    fn parse(line: &str) -> Option<Rule> {
        let mut words = line.split_whitespace();
        let mut axes = |name: &str| {
            let found = words.next() == Some(name);
            let three = [words.next(), words.next(), words.next()];
            found.then_some(three)
        };
        let [a, b, c] = axes("local")?.map(|word| word.and_then(|w| w.parse().ok()).filter(|n| *n > 0));
        let [x, y, z] = axes("groups")?.map(|word| word.and_then(factors));
        let mut rule = Rule { local: [a?, b?, c?], groups: [x?, y?, z?], image: None, waves: false };
        while let Some(word) = words.next() {
            match word {
                "image" => rule.image = Some(words.next()?.parse().ok()?),
                "waves" => rule.waves = true,
                "*/" => return (rule.items() <= MOST_ITEMS).then_some(rule),
                _ => return None,
            }
        }
        None
    }

    /// Items per group.
    pub fn items(&self) -> usize {
        self.local.iter().fold(1, |n, axis| n.saturating_mul(*axis))
    }

    /// Groups along each axis, 0 where there is no work; none if the dims are not those of the kernel.
    pub fn groups(&self, dims: &[i64], wave: u32) -> Option<[usize; 3]> {
        let mut all = [0; 3];
        for (groups, chain) in all.iter_mut().zip(&self.groups) {
            *groups = usize::try_from(evaluate(chain, dims, wave)?).ok()?;
        }
        Some(all)
    }
}

fn factors(chain: &str) -> Option<Vec<Factor>> {
    let mut all = Vec::new();
    let (mut rest, mut divides) = (chain, false);
    while all.len() < MOST_FACTORS {
        let end = rest.find(['*', '/']).unwrap_or(rest.len());
        let atom = match rest[..end].strip_prefix('d') {
            Some(index) => Atom::Dim(index.parse().ok()?),
            None if &rest[..end] == "W" => Atom::Wave,
            None => Atom::Number(rest[..end].parse().ok().filter(|n| *n > 0)?),
        };
        all.push(Factor { divides, atom });
        if end == rest.len() {
            return Some(all);
        }
        divides = rest[end..].starts_with('/');
        rest = &rest[end + 1..];
    }
    None
}

fn evaluate(chain: &[Factor], dims: &[i64], wave: u32) -> Option<i64> {
    chain.iter().try_fold(1i64, |value, factor| {
        let next = match factor.atom {
            Atom::Number(n) => n,
            Atom::Wave => i64::from(wave),
            Atom::Dim(index) => *dims.get(index)?,
        };
        match factor.divides {
            true if next > 0 => Some(value.checked_add(next - 1)? / next),
            true => None,
            false => value.checked_mul(next),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\n/* mcv launch k10 local 64 1 1 groups d1/2/W d0*d3/d4/8 1 image 1 waves */\n/* mcv launch k1 local 64 1 1 groups 1 1 1 */";

    #[test]
    fn groups_follow_from_dims() {
        let rule = Rule::find(TEXT, "k10").expect("a rule");
        assert_eq!((rule.items(), rule.image, rule.waves), (64, Some(1), true));
        assert_eq!(rule.groups(&[5, 257, 0, 8, 2], 64), Some([3, 3, 1]));
        assert_eq!(rule.groups(&[0, 257, 0, 8, 2], 128).map(|g| g[1]), Some(0));
        assert_eq!(Rule::find(TEXT, "k1").and_then(|r| r.groups(&[], 64)), Some([1, 1, 1]));
        assert_eq!(Rule::find(TEXT, "k"), None);
    }

    #[test]
    fn nonsense_is_no_rule_and_no_panic() {
        let rule = Rule::find(TEXT, "k10").expect("a rule");
        assert_eq!(rule.groups(&[1], 64), None);
        assert_eq!(rule.groups(&[1, 2, 3, 4, 0], 64), None);
        assert_eq!(rule.groups(&[i64::MAX, 2, 3, i64::MAX, 1], 64), None);
        for line in [
            "local 64 1 groups 1 1 1 */",
            "local 0 1 1 groups 1 1 1 */",
            "local 99999999999999999999 1 1 groups 1 1 1 */",
            "local 4096 4096 4096 groups 1 1 1 */",
            "local 64 1 1 groups d 1 1 */",
            "local 64 1 1 groups 1/ 1 1 */",
            "local 64 1 1 groups 1/0 1 1 */",
            "local 64 1 1 groups 1*1*1*1*1*1*1*1*1 1 1 */",
            "local 64 1 1 groups 1 1 1 image */",
            "local 64 1 1 groups 1 1 1 sometimes */",
            "local 64 1 1 groups 1 1 1",
            "",
        ] {
            assert_eq!(Rule::parse(line), None, "{line}");
        }
    }
}
