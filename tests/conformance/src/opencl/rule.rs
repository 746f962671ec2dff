//! Launch rules, read as a runtime reads them.

/// How a kernel is launched: the header that `mcv_targets::opencl::launch` describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Items per group.
    pub items: u32,
    groups: [String; 2],
    /// Argument that may be an image.
    pub image: Option<usize>,
}

impl Rule {
    /// The rule of `symbol` in a text.
    pub fn find(text: &str, symbol: &str) -> Option<Rule> {
        let start = format!("/* mcv launch {symbol} ");
        let line = text.lines().find_map(|l| l.strip_prefix(start.as_str()))?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let after =
            |name: &str, n: usize| words.iter().position(|w| *w == name).and_then(|i| words.get(i + n)).copied();
        Some(Rule {
            items: after("local", 1)?.parse().ok()?,
            groups: [after("groups", 1)?.into(), after("groups", 2)?.into()],
            image: after("image", 1).and_then(|i| i.parse().ok()),
        })
    }

    /// Groups along two axes.
    pub fn groups(&self, dims: &[i64], wave: i64) -> [u32; 2] {
        [0, 1].map(|axis| evaluate(&self.groups[axis], dims, wave) as u32)
    }
}

fn evaluate(chain: &str, dims: &[i64], wave: i64) -> i64 {
    let atom = |text: &str| match text.strip_prefix('d') {
        Some(index) => dims[index.parse::<usize>().expect("a dim's number")],
        None if text == "W" => wave,
        None => text.parse().expect("a number"),
    };
    let mut rest = chain;
    let mut value = 1;
    let mut divide = false;
    loop {
        let end = rest.find(['*', '/']).unwrap_or(rest.len());
        let next = atom(&rest[..end]);
        value = if divide { (value + next - 1) / next } else { value * next };
        if end == rest.len() {
            return value;
        }
        divide = rest[end..].starts_with('/');
        rest = &rest[end + 1..];
    }
}
