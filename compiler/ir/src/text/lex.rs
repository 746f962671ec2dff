//! Words, strings and marks, each with its line and column.

use super::types::is_word;
use crate::error::{Error, Result};
use std::iter::Peekable;
use std::str::Chars;

/// A piece of text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Letters, digits, `_`, `.`, `-`: names and numbers.
    Word(String),
    /// A quoted string, unescaped.
    Text(String),
    /// One character; `<=` is `<`.
    Mark(char),
    /// Nothing is left.
    End,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Token::Word(w) => write!(f, "{w}"),
            Token::Text(t) => write!(f, "{}", super::types::Quoted(t)),
            Token::Mark('<') => write!(f, "<="),
            Token::Mark(c) => write!(f, "{c:?}"),
            Token::End => write!(f, "the end"),
        }
    }
}

/// Line and column, from 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub line: usize,
    pub column: usize,
}

impl Spot {
    pub fn fail(self, message: impl std::fmt::Display) -> Error {
        Error::input(format!("line {}, column {}: {message}", self.line, self.column))
    }
}

/// All tokens; the last is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Spot)>> {
    let mut lexer = Lexer { chars: text.chars().peekable(), spot: Spot { line: 1, column: 1 } };
    let mut all = vec![];
    while let Some(c) = lexer.skip_space() {
        let spot = lexer.spot;
        all.push((lexer.token(c)?, spot));
    }
    all.push((Token::End, lexer.spot));
    Ok(all)
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    spot: Spot,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        if c == '\n' {
            self.spot = Spot { line: self.spot.line + 1, column: 1 };
        } else {
            self.spot.column += 1;
        }
        Some(c)
    }

    /// The first character that is no space, not taken.
    fn skip_space(&mut self) -> Option<char> {
        while self.chars.peek()?.is_whitespace() {
            self.next();
        }
        self.chars.peek().copied()
    }

    fn token(&mut self, first: char) -> Result<Token> {
        if is_word(first) {
            return Ok(Token::Word(self.word()));
        }
        let spot = self.spot;
        self.next();
        match first {
            '"' => self.string(spot).map(Token::Text),
            '<' if self.next() == Some('=') => Ok(Token::Mark('<')),
            '@' | '%' | '=' | ':' | ',' | ';' | '/' | '(' | ')' | '[' | ']' | '{' | '}' => Ok(Token::Mark(first)),
            _ => Err(spot.fail(format_args!("unexpected {first:?}"))),
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(&c) = self.chars.peek().filter(|c| is_word(**c)) {
            word.push(c);
            self.next();
        }
        word
    }

    fn string(&mut self, start: Spot) -> Result<String> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape()?),
                Some(c) => text.push(c),
                None => return Err(start.fail("the string does not end")),
            }
        }
    }

    /// After a backslash: `"`, `\` or `u{hex}`.
    fn escape(&mut self) -> Result<char> {
        let spot = self.spot;
        let bad = || spot.fail(r#"after a backslash, `"`, `\` or `u{hex}` is expected"#);
        match self.next() {
            Some(c @ ('"' | '\\')) => return Ok(c),
            Some('u') if self.next() == Some('{') => {}
            _ => return Err(bad()),
        }
        let digits = self.word();
        let c = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).ok_or_else(bad)?;
        if self.next() == Some('}') { Ok(c) } else { Err(bad()) }
    }
}
