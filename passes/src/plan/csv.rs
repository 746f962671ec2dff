//! Placement problems and solutions as CSV, in the form of the public MiniMalloc benchmarks.
//!
//! A problem has a header and the columns `id,lower,upper,size` in any order: a name, the half-open
//! lifetime, bytes. A column `alignment` is optional, other columns are ignored.

use super::arena::Buffer;

/// Where the columns are.
struct Columns {
    id: usize,
    lower: usize,
    upper: usize,
    size: usize,
    alignment: Option<usize>,
}

/// Reads a problem: each buffer with its id.
///
/// # Errors
/// A sentence that names line, column and remedy: for a missing or doubled column, a missing or
/// superfluous field, a number that is none or too large, an empty lifetime, a doubled id.
pub fn parse(text: &str) -> Result<Vec<(String, Buffer)>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let Some((at, header)) = lines.next() else {
        return Err("line 1: no header; begin with `id,lower,upper,size`".into());
    };
    let names: Vec<&str> = header.split(',').map(str::trim).collect();
    let columns = Columns::find(&names).map_err(|e| format!("line {}: {e}", at + 1))?;
    let mut ids = std::collections::HashSet::new();
    let mut rows = Vec::new();
    for (at, line) in lines {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let row = columns.row(&names, &fields).map_err(|e| format!("line {}: {e}", at + 1))?;
        if !ids.insert(row.0.clone()) {
            return Err(format!(
                "line {}: column id: {:?} was used before; give each buffer its own id",
                at + 1,
                row.0
            ));
        }
        rows.push(row);
    }
    Ok(rows)
}

impl Columns {
    fn find(names: &[&str]) -> Result<Columns, String> {
        let find = |name: &str| {
            let mut at = (0..names.len()).filter(|&k| names[k].eq_ignore_ascii_case(name));
            match (at.next(), at.next()) {
                (_, Some(_)) => Err(format!("column {name} is there twice; keep one")),
                (at, None) => Ok(at),
            }
        };
        let need = |name: &str| {
            find(name)?.ok_or_else(|| format!("column {name} is missing; the header needs `id,lower,upper,size`"))
        };
        Ok(Columns {
            id: need("id")?,
            lower: need("lower")?,
            upper: need("upper")?,
            size: need("size")?,
            alignment: find("alignment")?,
        })
    }

    fn row(&self, names: &[&str], fields: &[&str]) -> Result<(String, Buffer), String> {
        if fields.len() != names.len() {
            return Err(format!(
                "{} fields where the header has {} columns; give one field per column, ids without commas",
                fields.len(),
                names.len()
            ));
        }
        let id = fields[self.id];
        if id.is_empty() {
            return Err("column id is empty; give the buffer a name".into());
        }
        let buffer = Buffer {
            start: number("lower", fields[self.lower], u64::from(u32::MAX))? as u32,
            end: number("upper", fields[self.upper], u64::from(u32::MAX))? as u32,
            size: number("size", fields[self.size], 1 << 48)?,
            align: match self.alignment {
                Some(k) if !fields[k].is_empty() => number("alignment", fields[k], 1 << 32)?,
                _ => 1,
            },
        };
        if buffer.start >= buffer.end {
            return Err(format!(
                "column upper: {} is not after lower {}; the lifetime [lower, upper) must not be empty",
                buffer.end, buffer.start
            ));
        }
        if buffer.align == 0 {
            return Err("column alignment: 0 aligns nothing; use 1 for none".into());
        }
        Ok((id.to_string(), buffer))
    }
}

fn number(column: &str, field: &str, max: u64) -> Result<u64, String> {
    let plain = !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit());
    match field.parse() {
        Ok(value) if plain && value <= max => Ok(value),
        _ => Err(format!(
            "column {column}: {:?} is no whole number from 0 to {max}; write it in plain digits",
            field.chars().take(40).collect::<String>()
        )),
    }
}

/// Prints a solution as `id,offset` lines under a header; surplus ids or offsets are left out.
pub fn render<S: AsRef<str>>(ids: &[S], offsets: &[u64]) -> String {
    let mut text = String::from("id,offset\n");
    for (id, offset) in ids.iter().zip(offsets) {
        text.push_str(&format!("{},{offset}\n", id.as_ref()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_columns_in_any_order() {
        let rows = parse("size, note,upper,id,lower,alignment\r\n4,x,3,a,0,\n\n8,,9,b,3,64\n").unwrap();
        assert_eq!(rows[0], ("a".into(), Buffer { start: 0, end: 3, size: 4, align: 1 }));
        assert_eq!(rows[1], ("b".into(), Buffer { start: 3, end: 9, size: 8, align: 64 }));
    }

    #[test]
    fn prints_offsets() {
        assert_eq!(render(&["a", "b"], &[0, 64]), "id,offset\na,0\nb,64\n");
    }

    #[test]
    fn names_line_column_and_remedy() {
        let head = "id,lower,upper,size,alignment\n";
        for (body, wanted) in [
            ("a,0,3", "line 2: 3 fields"),
            ("a,-1,3,4,1", "line 2: column lower"),
            ("a,0,4294967296,4,1", "line 2: column upper"),
            ("a,0,3,99999999999999999999999,1", "line 2: column size"),
            ("a,0,3,+4,1", "line 2: column size"),
            ("a,0,3,4e3,1", "line 2: column size"),
            ("a,3,3,4,1", "line 2: column upper"),
            ("a,0,3,4,0", "line 2: column alignment"),
            (",0,3,4,1", "line 2: column id"),
            ("a,0,3,4,1\n\na,0,3,4,1", "line 4: column id"),
        ] {
            let error = parse(&format!("{head}{body}")).unwrap_err();
            assert!(error.starts_with(wanted), "{body:?}: {error}");
        }
        assert!(parse("").unwrap_err().contains("header"));
        assert!(parse("id,lower,upper\n").unwrap_err().contains("column size is missing"));
        assert!(parse("id,id,lower,upper,size\n").unwrap_err().contains("twice"));
    }
}
