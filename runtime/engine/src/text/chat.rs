//! Chat templates and image placeholders: one turn of a conversation becomes the ids to prefill.
//!
//! Template strings are trusted: control tokens written in them are meant. What people type (question and
//! system prompt) is not. All text between two control tokens is encoded as one string, as the
//! tokenizer would see it in the finished prompt.

use super::{Part, TextError, Tokenizer};

/// Slices of one picture as (columns, rows); `None` if it is shown to the model as a whole only.
pub type Grid = Option<(u32, u32)>;

/// What a turn shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown<'a> {
    /// Each picture's grid.
    pub grids: &'a [Grid],
    /// Placeholders of each slice of all pictures, in order; empty: the template's number each.
    pub vectors: &'a [usize],
    /// Whether each picture has a number, where the template numbers pictures; empty: all have.
    pub numbered: &'a [bool],
}

/// Pictures whose slices have the template's number of placeholders each.
impl<'a, G: AsRef<[Grid]> + ?Sized> From<&'a G> for Shown<'a> {
    fn from(grids: &'a G) -> Self {
        Shown { grids: grids.as_ref(), ..Shown::default() }
    }
}

/// More slices of one picture than any policy of the family cuts (they stop at 9).
const MAX_SLICES: u64 = 1024;

/// The strings around messages; each pair is (prefix, suffix).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// Begins the conversation.
    pub bos: Option<String>,
    /// System prompt used when none is given.
    pub default_system: Option<String>,
    /// Around the system prompt.
    pub system: (String, String),
    /// Around pictures and question.
    pub user: (String, String),
    /// Before the answer, and what closes it once the next turn follows.
    pub assistant: (String, String),
    /// Before an answer that the model may think about first, where it can.
    pub thinking: Option<String>,
    /// How a picture is written.
    pub image: ImageTemplate,
    /// Tokens that end an answer.
    pub stop: Vec<String>,
}

/// One picture: identifier, overview, rows of slices, then `after`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageTemplate {
    /// Around the picture's number, which counts from 0 in each conversation.
    pub id: Option<(String, String)>,
    /// Around the overview's placeholders.
    pub overview: (String, String),
    /// Around the placeholders of each slice.
    pub slice: (String, String),
    /// Around all slices.
    pub slices: (String, String),
    /// Between two rows of slices.
    pub row_separator: String,
    /// The token whose rows the resampler's output replaces.
    pub placeholder: String,
    /// Behind each picture.
    pub after: String,
    /// Placeholders per slice, overview included.
    pub queries: u32,
}

/// A part of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A control token.
    Token(u32),
    /// Text without control tokens, whatever it looks like.
    Text(String),
    /// The placeholders of one slice.
    Image {
        /// Which slice of the turn: pictures in order, each overview first, then its slices row by row.
        slot: u32,
    },
}

/// Ids to prefill.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Token ids; rows of `image_rows` hold the placeholder's id.
    pub ids: Vec<u32>,
    /// Half-open ranges of `ids` that image embeddings replace, by slot.
    pub image_rows: Vec<(usize, usize)>,
}

/// A template resolved against a tokenizer.
#[derive(Debug, Clone)]
pub struct Chat {
    template: Template,
    pieces: Resolved,
    stop: Vec<u32>,
    placeholder: u32,
    thinks: bool,
}

/// The control tokens of each template string, found once.
#[derive(Debug, Clone)]
struct Resolved {
    bos: Vec<Piece>,
    system: Pair,
    user: Pair,
    assistant: Pair,
    thinking: Option<Vec<Piece>>,
    id: Option<Pair>,
    overview: Pair,
    slice: Pair,
    slices: Pair,
    row_separator: Vec<Piece>,
    after: Vec<Piece>,
}

type Pair = (Vec<Piece>, Vec<Piece>);

impl Chat {
    /// Looks up the template's control tokens.
    ///
    /// # Errors
    /// [`TextError::Template`] if the placeholder or a stop token is no single token, or if `queries` is 0.
    pub fn new(template: Template, tokenizer: &Tokenizer) -> Result<Self, TextError> {
        let image = &template.image;
        if image.queries == 0 {
            return Err(fault("image.queries", "is 0; give the resampler's rows per slice"));
        }
        let placeholder = single(tokenizer, "image.placeholder", &image.placeholder)?;
        let stop = template.stop.iter().map(|s| single(tokenizer, "stop", s)).collect::<Result<_, _>>()?;
        let pieces = Resolved::new(&template, tokenizer);
        Ok(Self { template, pieces, stop, placeholder, thinks: false })
    }

    /// Whether the model thinks before it answers, from the next turn on; its thoughts are part of the answer.
    ///
    /// # Errors
    /// [`TextError::Turn`] if the model has no such mode.
    pub fn set_thinking(&mut self, on: bool) -> Result<(), TextError> {
        if on && self.pieces.thinking.is_none() {
            return Err(TextError::Turn(
                "this model has no thinking mode (MiniCPM-V 4.5 has); leave it off".to_owned(),
            ));
        }
        self.thinks = on;
        Ok(())
    }

    /// What precedes an answer.
    fn answer(&self) -> &[Piece] {
        self.pieces.thinking.as_deref().filter(|_| self.thinks).unwrap_or(&self.pieces.assistant.0)
    }

    /// The ids that end an answer.
    pub fn stop_ids(&self) -> &[u32] {
        &self.stop
    }

    /// The id at every row that an image embedding replaces.
    pub fn placeholder_id(&self) -> u32 {
        self.placeholder
    }

    /// Encodes the pieces of a turn; `starts` says that nothing precedes them in the KV cache.
    ///
    /// # Errors
    /// [`TextError::Tokenizer`] if the tokenizer refuses a text.
    pub fn encode(&self, pieces: &[Piece], starts: bool, tokenizer: &Tokenizer) -> Result<Prompt, TextError> {
        self.encode_sized(pieces, &[], starts, tokenizer)
    }

    /// As [`Chat::encode`] with as many placeholders as `vectors` says, see [`Shown::vectors`].
    ///
    /// # Errors
    /// As there.
    pub fn encode_sized(
        &self,
        pieces: &[Piece],
        vectors: &[usize],
        starts: bool,
        tokenizer: &Tokenizer,
    ) -> Result<Prompt, TextError> {
        let mut prompt = Prompt::default();
        for piece in pieces {
            let start = prompt.ids.len();
            match piece {
                Piece::Token(id) => prompt.ids.push(*id),
                Piece::Text(text) => tokenizer.append(text, starts && start == 0, &mut prompt.ids)?,
                Piece::Image { slot } => {
                    let own = self.template.image.queries as usize;
                    let end = start + vectors.get(*slot as usize).copied().unwrap_or(own);
                    prompt.ids.resize(end, self.placeholder);
                    prompt.image_rows.push((start, end));
                }
            }
        }
        Ok(prompt)
    }
}

impl Resolved {
    fn new(template: &Template, tokenizer: &Tokenizer) -> Self {
        let one = |text: &str| resolve(tokenizer, text);
        let pair = |pair: &(String, String)| (one(&pair.0), one(&pair.1));
        let image = &template.image;
        Self {
            bos: one(template.bos.as_deref().unwrap_or("")),
            system: pair(&template.system),
            user: pair(&template.user),
            assistant: pair(&template.assistant),
            thinking: template.thinking.as_deref().map(one),
            id: image.id.as_ref().map(pair),
            overview: pair(&image.overview),
            slice: pair(&image.slice),
            slices: pair(&image.slices),
            row_separator: one(&image.row_separator),
            after: one(&image.after),
        }
    }
}

/// What a conversation remembers between turns: how far it is, not what was said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conversation {
    turns: u32,
    images: u32,
}

impl Conversation {
    /// A conversation with an empty KV cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// True until the first turn was taken.
    pub fn is_empty(&self) -> bool {
        self.turns == 0
    }

    /// The pieces of the next turn, up to where the answer begins.
    ///
    /// What is shown stands before `text`. A later turn first closes the previous answer, so the KV cache must then
    /// end with that answer's last token, without the stop token.
    ///
    /// # Errors
    /// [`TextError::Turn`] if a grid is empty or too large, or if a later turn brings a system prompt; the conversation
    /// stays as it was.
    pub fn turn<'a>(
        &mut self,
        chat: &Chat,
        shown: impl Into<Shown<'a>>,
        text: &str,
        system: Option<&str>,
    ) -> Result<Vec<Piece>, TextError> {
        let mut out = Assembly::default();
        self.open(chat, system, &mut out)?;
        out.add(&chat.pieces.user.0);
        let (shown, mut images) = (shown.into(), self.images);
        for (place, grid) in shown.grids.iter().enumerate() {
            let numbered = shown.numbered.get(place).copied().unwrap_or(true);
            out.image(&chat.pieces, numbered.then_some(images), *grid)?;
            images += u32::from(numbered);
        }
        out.text(text);
        out.add(&chat.pieces.user.1);
        out.add(chat.answer());
        self.images = images;
        self.turns += 1;
        Ok(out.pieces)
    }

    /// [`Conversation::turn`] and [`Chat::encode`] in one.
    ///
    /// # Errors
    /// As those two; the conversation stays as it was.
    pub fn prompt<'a>(
        &mut self,
        chat: &Chat,
        tokenizer: &Tokenizer,
        shown: impl Into<Shown<'a>>,
        text: &str,
        system: Option<&str>,
    ) -> Result<Prompt, TextError> {
        let (mut next, shown) = (*self, shown.into());
        let pieces = next.turn(chat, shown, text, system)?;
        let prompt = chat.encode_sized(&pieces, shown.vectors, self.is_empty(), tokenizer)?;
        *self = next;
        Ok(prompt)
    }

    fn open(&self, chat: &Chat, system: Option<&str>, out: &mut Assembly) -> Result<(), TextError> {
        if !self.is_empty() {
            out.add(&chat.pieces.assistant.1);
            return match system {
                None => Ok(()),
                Some(_) => Err(TextError::Turn(
                    "a system prompt is possible in the first turn only; start a new conversation".to_owned(),
                )),
            };
        }
        out.add(&chat.pieces.bos);
        if let Some(system) = system.or(chat.template.default_system.as_deref()) {
            out.add(&chat.pieces.system.0);
            out.text(system);
            out.add(&chat.pieces.system.1);
        }
        Ok(())
    }
}

/// Pieces in the making; neighbouring texts are merged.
#[derive(Default)]
struct Assembly {
    pieces: Vec<Piece>,
    slots: u32,
}

impl Assembly {
    fn add(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.text(text),
                other => self.pieces.push(other.clone()),
            }
        }
    }

    fn text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(before)) => before.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    fn image(&mut self, schema: &Resolved, number: Option<u32>, grid: Grid) -> Result<(), TextError> {
        if let (Some((before, behind)), Some(number)) = (&schema.id, number) {
            self.add(before);
            self.text(&number.to_string());
            self.add(behind);
        }
        self.slot(&schema.overview);
        if let Some(grid) = grid {
            self.slices(schema, grid)?;
        }
        self.add(&schema.after);
        Ok(())
    }

    fn slices(&mut self, schema: &Resolved, (columns, rows): (u32, u32)) -> Result<(), TextError> {
        let count = u64::from(columns) * u64::from(rows);
        if count == 0 || count > MAX_SLICES {
            return Err(TextError::Turn(format!(
                "an image grid of {columns} x {rows} slices; give 1 to {MAX_SLICES} slices, or no grid"
            )));
        }
        self.add(&schema.slices.0);
        for row in 0..rows {
            if row > 0 {
                self.add(&schema.row_separator);
            }
            (0..columns).for_each(|_| self.slot(&schema.slice));
        }
        self.add(&schema.slices.1);
        Ok(())
    }

    fn slot(&mut self, around: &Pair) {
        self.add(&around.0);
        self.pieces.push(Piece::Image { slot: self.slots });
        self.slots += 1;
        self.add(&around.1);
    }
}

fn resolve(tokenizer: &Tokenizer, text: &str) -> Vec<Piece> {
    let piece = |part: &Part<'_>| match *part {
        Part::Control(id) => Piece::Token(id),
        Part::Text(text) => Piece::Text(text.to_owned()),
    };
    tokenizer.split(text).iter().map(piece).collect()
}

fn single(tokenizer: &Tokenizer, field: &'static str, token: &str) -> Result<u32, TextError> {
    tokenizer.token_id(token).ok_or_else(|| {
        fault(field, &format!("`{token}` is not a token of this tokenizer; take one from its added_tokens"))
    })
}

fn fault(field: &'static str, reason: &str) -> TextError {
    TextError::Template { field, reason: reason.to_owned() }
}
