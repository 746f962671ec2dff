//! Templates to text: placeholders, parameters, sizes and scalars.

use mcv_ir::target::Mode;
use mcv_ir::{Elem, Error, Kernel, Op, Result};

/// Replaces `@name@` by its value. A placeholder alone on its line gives its indentation to every line of the value,
/// and vanishes where the value is empty.
pub fn fill(template: &str, values: &[(&str, String)]) -> String {
    template.lines().map(|line| fill_line(line, values)).collect()
}

fn fill_line(line: &str, values: &[(&str, String)]) -> String {
    let bare = line.trim();
    let indent = &line[..line.len() - line.trim_start().len()];
    let alone = |name: &str| bare.len() > 2 && bare.strip_prefix('@').and_then(|b| b.strip_suffix('@')) == Some(name);
    match values.iter().find(|(name, _)| alone(name)) {
        Some((_, value)) => value.lines().map(|v| format!("{}\n", format!("{indent}{v}").trim_end())).collect(),
        None => values.iter().fold(line.to_string(), |l, (name, v)| l.replace(&format!("@{name}@"), v)) + "\n",
    }
}

/// Fills in the symbol, the parameters, the sizes and the number of the result.
pub fn finish(text: &str, kernel: &Kernel, symbol: &str, mode: Mode, image: Option<usize>) -> Result<String> {
    let result = kernel.args.len();
    let values = [
        ("symbol", symbol.to_string()),
        ("params", parameters(kernel, image)),
        ("sizes", definitions(kernel, mode, text)?),
        ("result", result.to_string()),
    ];
    Ok(fill(text, &values))
}

fn parameters(kernel: &Kernel, image: Option<usize>) -> String {
    let result = kernel.args.len();
    let buffer = |i: usize| {
        let constant = if i < result { "const " } else { "" };
        let image = if image == Some(i) { format!(" MCV_IMAGE({i})") } else { String::new() };
        format!("__global {constant}uchar *b{i}, const ulong o{i}, const long s{i}{image}")
    };
    let mut all: Vec<String> = (0..=result).map(buffer).collect();
    all.extend((0..kernel.dims().len()).map(|i| format!("const int d{i}")));
    all.extend((0..kernel.scalars().len()).map(|i| format!("const float f{i}")));
    all.join(",\n    ")
}

/// First bytes of the arguments, sizes and scalars that the text uses.
fn definitions(kernel: &Kernel, mode: Mode, text: &str) -> Result<String> {
    let result = kernel.args.len();
    let mut lines: Vec<String> = (0..=result)
        .map(|i| format!("__global {}uchar *a{i} = b{i} + o{i};", if i < result { "const " } else { "" }))
        .collect();
    for (i, (name, dim)) in kernel.dims().into_iter().enumerate() {
        let name = if kernel.op == Op::Concat && i > 0 { format!("{name}{}", i - 1) } else { name.to_string() };
        let value = match (mode, dim.known()) {
            (Mode::Specialized, Some(n)) => n.to_string(),
            _ => format!("d{i}"),
        };
        if has_word(text, &name) {
            lines.push(format!("const int {name} = {value};"));
        }
    }
    let mut factors = 0;
    for (i, (name, scalar)) in kernel.scalars().into_iter().enumerate() {
        let name = if name == "FACTOR" { factor(&mut factors) } else { name.to_string() };
        let value = match mode {
            Mode::Specialized => literal(scalar)?,
            Mode::Generic => format!("f{i}"),
        };
        lines.push(format!("const float {name} = {value};"));
    }
    Ok(lines.join("\n"))
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|w| w == word)
}

/// Name of the next constant factor.
pub fn factor(count: &mut usize) -> String {
    *count += 1;
    format!("FACTOR{}", *count - 1)
}

fn literal(x: f32) -> Result<String> {
    if !x.is_finite() {
        return Err(Error::unsupported(format!("a kernel on unit gpu with the constant {x}: it must be finite")));
    }
    Ok(format!("{x:?}f"))
}

/// Suffix of the prelude's loads and stores of an element.
pub fn suffix(elem: Elem) -> Result<&'static str> {
    match elem {
        Elem::F32 => Ok("f32"),
        Elem::F16 => Ok("f16"),
        Elem::Bf16 => Ok("bf16"),
        other => Err(Error::bug(format!("unit gpu reads {other:?} element by element"))),
    }
}
