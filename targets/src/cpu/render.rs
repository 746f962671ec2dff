//! Templates to text: placeholders, sizes and scalars.

use mcv_ir::target::Mode;
use mcv_ir::{Elem, Error, Kernel, Op, Result};

/// Replaces `@name@` by its value. A placeholder alone on its line takes that line's indentation for every line of
/// its value, and vanishes where the value is empty.
pub fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::new();
    for line in template.lines() {
        let bare = line.trim();
        match values.iter().find(|(name, _)| bare.strip_prefix('@').and_then(|b| b.strip_suffix('@')) == Some(name)) {
            Some((_, value)) => {
                let indent = &line[..line.len() - line.trim_start().len()];
                value.lines().for_each(|v| push_line(&mut text, &format!("{indent}{v}")));
            }
            None => {
                let line =
                    values.iter().fold(line.to_string(), |l, (name, value)| l.replace(&format!("@{name}@"), value));
                push_line(&mut text, &line);
            }
        }
    }
    text
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Replaces each `@sizes@` by the definitions that the function it stands in uses.
pub fn fill_sizes(text: &str, kernel: &Kernel, mode: Mode) -> Result<String> {
    let all = definitions(kernel, mode)?;
    let mut out = String::new();
    for function in text.split_inclusive("\n}\n") {
        let used: Vec<&str> =
            all.iter().filter(|(name, _)| has_word(function, name)).map(|(_, d)| d.as_str()).collect();
        out.push_str(&fill(function, &[("sizes", used.join("\n"))]));
    }
    Ok(out)
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|w| w == word)
}

/// `(name, C definition)` of every size and scalar.
fn definitions(kernel: &Kernel, mode: Mode) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for (i, (name, dim)) in kernel.dims().into_iter().enumerate() {
        let name = if kernel.op == Op::Concat && i > 0 { format!("{name}{}", i - 1) } else { name.to_string() };
        let value = match (mode, dim.known()) {
            (Mode::Specialized, Some(n)) => n.to_string(),
            _ => format!("c->dim[{i}]"),
        };
        all.push((name.clone(), format!("const int64_t {name} = {value};")));
    }
    let mut factors = 0;
    for (i, (name, scalar)) in kernel.scalars().into_iter().enumerate() {
        let name = if name == "FACTOR" { factor(&mut factors) } else { name.to_string() };
        let value = match mode {
            Mode::Specialized => literal(scalar)?,
            Mode::Generic => format!("c->scalar[{i}]"),
        };
        all.push((name.clone(), format!("const float {name} = {value};")));
    }
    Ok(all)
}

/// Name of the next constant factor.
pub fn factor(count: &mut usize) -> String {
    *count += 1;
    format!("FACTOR{}", *count - 1)
}

fn literal(x: f32) -> Result<String> {
    if !x.is_finite() {
        return Err(Error::unsupported(format!("a kernel on unit cpu with the constant {x}: it must be finite")));
    }
    Ok(format!("{x:?}f"))
}

/// C type of one element and what distinguishes its `vf_load`/`vf_store`.
pub fn spelling(elem: Elem) -> Result<(&'static str, &'static str)> {
    match elem {
        Elem::F32 => Ok(("float", "")),
        Elem::F16 => Ok(("uint16_t", "_f16")),
        Elem::Bf16 => Ok(("uint16_t", "_bf16")),
        other => Err(Error::bug(format!("unit cpu reads {other:?} element by element"))),
    }
}
