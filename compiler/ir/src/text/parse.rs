//! Text back to programs.

use super::lex::{Spot, Token, tokens};
use super::{STAGES, fnv1a};
use crate::error::{Error, Result};
use crate::program::{Phase, Program, Source, Stage, State, Weight};
use crate::types::{Dim, Elem, Layout, TensorType};
use std::ops::Range;
use std::sync::Arc;

/// Sources may be stacked this deep.
const MAX_DEPTH: usize = 8;

/// Reads a program. Tables that are printed as a hash are looked up in `data`. The result is well-formed, but not
/// verified: see [`crate::verify`]. Errors give line and column.
pub fn parse(text: &str, data: Option<&Program>) -> Result<Program> {
    let mut parser = Parser::new(text)?;
    parser.tables = data.map(|p| p.weights.iter().flat_map(|w| tables(&w.source)).collect()).unwrap_or_default();
    parser.program()
}

impl TensorType {
    /// Reads a type, e.g. `q4/32[512,256]@panels16x4`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parser = Parser::new(text)?;
        let ty = parser.ty()?;
        parser.end()?;
        Ok(ty)
    }
}

fn tables(source: &Source) -> Vec<Arc<Vec<f32>>> {
    match source {
        Source::Inline(values) => vec![values.clone()],
        Source::Stacked(parts) => parts.iter().flat_map(tables).collect(),
        Source::Stored { .. } | Source::Folded(_) => vec![],
    }
}

pub(super) struct Parser {
    tokens: Vec<(Token, Spot)>,
    next: usize,
    tables: Vec<Arc<Vec<f32>>>,
}

/// Tokens.
impl Parser {
    pub fn new(text: &str) -> Result<Self> {
        Ok(Parser { tokens: tokens(text)?, next: 0, tables: vec![] })
    }

    /// The token `ahead` of the next one.
    pub fn peek(&self, ahead: usize) -> &Token {
        self.tokens.get(self.next + ahead).map_or(&Token::End, |(token, _)| token)
    }

    pub fn spot(&self) -> Spot {
        let here = self.tokens.get(self.next).or(self.tokens.last());
        here.map_or(Spot { line: 1, column: 1 }, |(_, spot)| *spot)
    }

    pub fn skip(&mut self) {
        self.next += 1;
    }

    pub fn expected(&self, what: impl std::fmt::Display) -> Error {
        self.spot().fail(format_args!("expected {what}, found {}", self.peek(0)))
    }

    pub fn accept(&mut self, mark: char) -> bool {
        let found = *self.peek(0) == Token::Mark(mark);
        self.next += usize::from(found);
        found
    }

    pub fn mark(&mut self, mark: char) -> Result<()> {
        if self.accept(mark) { Ok(()) } else { Err(self.expected(Token::Mark(mark))) }
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(0), Token::Word(w) if w == word);
        self.next += usize::from(found);
        found
    }

    fn keyword(&mut self, word: &str) -> Result<()> {
        if self.accept_word(word) { Ok(()) } else { Err(self.expected(word)) }
    }

    fn take(&mut self, what: &str, pick: impl Fn(&Token) -> Option<String>) -> Result<String> {
        let found = pick(self.peek(0)).ok_or_else(|| self.expected(what))?;
        self.skip();
        Ok(found)
    }

    pub fn word(&mut self, what: &str) -> Result<String> {
        self.take(what, |t| if let Token::Word(w) = t { Some(w.clone()) } else { None })
    }

    pub fn string(&mut self, what: &str) -> Result<String> {
        self.take(what, |t| if let Token::Text(s) = t { Some(s.clone()) } else { None })
    }

    pub fn name(&mut self, what: &str) -> Result<String> {
        self.take(what, |t| if let Token::Word(s) | Token::Text(s) = t { Some(s.clone()) } else { None })
    }

    pub fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T> {
        let spot = self.spot();
        let word = self.word(what)?;
        word.parse().map_err(|_| spot.fail(format_args!("expected {what}, found {word}")))
    }

    /// A decimal, or the bits of a float after `0x`.
    pub fn float(&mut self) -> Result<f32> {
        let spot = self.spot();
        let word = self.word("a number")?;
        let value = match word.strip_prefix("0x") {
            Some(bits) => u32::from_str_radix(bits, 16).ok().map(f32::from_bits),
            None => word.parse::<f32>().ok().filter(|v| v.is_finite()),
        };
        value.ok_or_else(|| spot.fail(format_args!("expected a number, found {word}")))
    }

    pub fn end(&self) -> Result<()> {
        if *self.peek(0) == Token::End { Ok(()) } else { Err(self.expected(&Token::End)) }
    }
}

/// Types.
impl Parser {
    pub fn ty(&mut self) -> Result<TensorType> {
        let spot = self.spot();
        let elem = self.elem()?;
        self.mark('[')?;
        let mut shape = vec![];
        while !self.accept(']') {
            if !shape.is_empty() {
                self.mark(',')?;
            }
            shape.push(self.dim()?);
        }
        let layout = self.layout()?;
        let ty = TensorType { elem, shape, layout };
        ty.check().map_err(|e| spot.fail(text_of(e)))?;
        Ok(ty)
    }

    fn elem(&mut self) -> Result<Elem> {
        let spot = self.spot();
        Ok(match self.word("an element format")?.as_str() {
            "f32" => Elem::F32,
            "f16" => Elem::F16,
            "bf16" => Elem::Bf16,
            "i32" => Elem::I32,
            "q8" => Elem::Q8 { group: self.group()? },
            "q4" => Elem::Q4 { group: self.group()? },
            other => return Err(spot.fail(format_args!("there is no element format {other}"))),
        })
    }

    fn group(&mut self) -> Result<u16> {
        self.mark('/')?;
        self.number("a group size")
    }

    fn dim(&mut self) -> Result<Dim> {
        if *self.peek(1) != Token::Mark('<') {
            return self.number("an extent").map(Dim::Is);
        }
        let name = self.name("a phase variable")?;
        self.mark('<')?;
        Ok(Dim::UpTo { name, max: self.number("the largest extent")? })
    }

    /// `@summed` or `@panels16x4`; `@` before any other word is a unit and stays.
    fn layout(&mut self) -> Result<Layout> {
        let (Token::Mark('@'), Token::Word(word)) = (self.peek(0), self.peek(1)) else { return Ok(Layout::Rows) };
        let layout = match word.strip_prefix("panels") {
            Some(shape) => {
                let sides = shape.split_once('x').and_then(|(r, d)| Some((r.parse().ok()?, d.parse().ok()?)));
                let (rows, depth) = sides.ok_or_else(|| self.expected("a layout such as @panels16x4"))?;
                Layout::Panels { rows, depth }
            }
            None if word == "summed" => Layout::Summed,
            None => return Ok(Layout::Rows),
        };
        self.next += 2;
        Ok(layout)
    }
}

/// Programs.
impl Parser {
    fn program(&mut self) -> Result<Program> {
        self.keyword("program")?;
        let name = self.string("the program's name in quotes")?;
        self.keyword("stage")?;
        let stage = self.stage()?;
        let mut program = Program { name, stage, phases: vec![], states: vec![], weights: vec![] };
        while self.accept_word("state") {
            self.id('@', program.states.len())?;
            let name = self.string("the state's name in quotes")?;
            program.states.push(State { name, ty: self.ty()? });
        }
        while self.accept_word("weight") {
            self.id('%', program.weights.len())?;
            let name = self.string("the weight's name in quotes")?;
            let ty = self.ty()?;
            self.mark('=')?;
            program.weights.push(Weight { name, ty, source: self.source(0)? });
        }
        while self.accept_word("phase") {
            let name = self.name("the phase's name")?;
            program.phases.push(Phase { name, graph: self.graph()? });
        }
        self.end()?;
        Ok(program)
    }

    fn stage(&mut self) -> Result<Stage> {
        let spot = self.spot();
        let word = self.word("a stage")?;
        let found = STAGES.iter().find(|(name, _)| *name == word).map(|(_, stage)| *stage);
        found.ok_or_else(|| spot.fail(format_args!("there is no stage {word}")))
    }

    /// Ids count up from 0.
    fn id(&mut self, mark: char, expected: usize) -> Result<()> {
        self.mark(mark)?;
        let spot = self.spot();
        match self.number::<usize>("an id")? {
            id if id == expected => Ok(()),
            id => Err(spot.fail(format_args!("expected {mark}{expected}, found {mark}{id}"))),
        }
    }

    fn source(&mut self, depth: usize) -> Result<Source> {
        let spot = self.spot();
        match self.word("a source")?.as_str() {
            "stored" => {
                let tensor = self.string("a tensor's name in quotes")?;
                Ok(Source::Stored { tensor, rows: self.rows()?, transposed: self.accept_word("transposed") })
            }
            "inline" => self.table().map(Source::Inline),
            "stacked" if depth < MAX_DEPTH => self.stacked(depth),
            "stacked" => Err(spot.fail("sources are stacked too deep")),
            "folded" => Ok(Source::Folded(Box::new(self.graph()?))),
            other => Err(spot.fail(format_args!("there is no source {other}"))),
        }
    }

    /// `0..512`, which is one word.
    fn rows(&mut self) -> Result<Range<u32>> {
        let spot = self.spot();
        let word = self.word("rows such as 0..8")?;
        let ends = word.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
        ends.ok_or_else(|| spot.fail(format_args!("expected rows such as 0..8, found {word}")))
    }

    fn stacked(&mut self, depth: usize) -> Result<Source> {
        self.mark('{')?;
        let mut parts = vec![];
        while !self.accept('}') {
            parts.push(self.source(depth + 1)?);
            self.mark(';')?;
        }
        Ok(Source::Stacked(parts))
    }

    fn table(&mut self) -> Result<Arc<Vec<f32>>> {
        if self.accept('[') {
            return self.numbers().map(Arc::new);
        }
        let spot = self.spot();
        let count: usize = self.number("a table or its size")?;
        self.keyword("fnv1a")?;
        let word = self.word("a hash")?;
        let hash = word.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let found = self.tables.iter().find(|t| t.len() == count && Some(fnv1a(t)) == hash);
        let missing = || spot.fail(format_args!("no table of {count} numbers with hash {word} was given"));
        found.cloned().ok_or_else(missing)
    }

    fn numbers(&mut self) -> Result<Vec<f32>> {
        let mut values = vec![];
        while !self.accept(']') {
            if !values.is_empty() {
                self.mark(',')?;
            }
            values.push(self.float()?);
        }
        Ok(values)
    }
}

fn text_of(error: Error) -> String {
    match error {
        Error::Input(t) | Error::Unsupported(t) | Error::Bug(t) => t,
    }
}
