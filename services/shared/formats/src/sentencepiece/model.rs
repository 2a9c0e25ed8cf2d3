//! What is judged in a SentencePiece tokenizer as it is read.

use std::ops::ControlFlow;

use super::charsmap::Charsmap;
use super::schema::Part;
use crate::finding::{Findings, Place};
use crate::format::Format;
use crate::inspector::Found;
use crate::protobuf::{Event, Meaning, ON, Spot, Text};
use crate::rules::{self, Rule};

/// The most pieces. The largest tokenizers have some hundred thousand.
const MAX_PIECES: u64 = 1 << 20;
/// The longest piece. Ordinary ones have some dozen characters.
const MAX_PIECE_BYTES: u64 = 1 << 10;

/// What was read so far.
#[derive(Debug, Default)]
pub struct Model {
    /// How many pieces there are.
    pub pieces: u64,
    text: Text,
    /// Where the piece begins that is being read.
    begun: u64,
    /// Whether it has a text.
    named: bool,
    score: Vec<u8>,
    charsmap: Option<Charsmap>,
}

impl Meaning for Model {
    type Part = Part;
    const BROKEN: &'static Rule = &rules::SPM_BROKEN;

    fn event(
        &mut self,
        spot: Spot<Part>,
        event: Event<'_, Part>,
        findings: &mut Findings,
    ) -> ControlFlow<()> {
        let place = Place::at(spot.at);
        match event {
            Event::Enter(_, Part::Piece) => {
                self.pieces += 1;
                self.begun = spot.at;
                self.named = false;
                if self.pieces > MAX_PIECES {
                    let message = format_args!("it has more than {MAX_PIECES} pieces");
                    findings.add(&rules::SPM_LIMIT, place, message);
                    return ControlFlow::Break(());
                }
            }
            Event::Leave(Part::Piece) if !self.named => {
                findings.add(&rules::SPM_PIECE, Place::at(self.begun), "a piece has no text");
            }
            Event::Number(3, kind) if spot.inside == Part::Piece && !(1..=6).contains(&kind) => {
                let message = format_args!("a piece is of the kind {kind}, which does not exist");
                findings.add(&rules::SPM_PIECE, place, message);
            }
            Event::Bytes { field, chunk, left } => match (spot.inside, field) {
                (Part::Piece, 2) => self.score(place, chunk, left, findings),
                (Part::Normalizer, 2) => self.charsmap(place, chunk, left, findings),
                (inside, _) => self.text(inside, place, chunk, left, findings),
            },
            Event::Unknown(field, bytes) => {
                let message =
                    format_args!("{bytes} bytes in a field {field} that SentencePiece does not have");
                findings.add(&rules::SPM_FIELD, place, message);
            }
            Event::Again(field) => {
                let message = format_args!("the field {field} occurs a second time");
                findings.add(&rules::SPM_REPEATED, place, message);
            }
            Event::Enter(..) | Event::Leave(_) | Event::Number(..) | Event::Fixed(..) => {}
        }
        ON
    }

    fn conclude(self, complete: bool, mut findings: Findings) -> Found {
        if complete && self.pieces == 0 {
            findings.add(&rules::SPM_BROKEN, Place::whole(), "it has no pieces");
        }
        Found::companion(Format::Sentencepiece, findings)
    }
}

impl Model {
    fn score(&mut self, place: Place, chunk: &[u8], left: u64, findings: &mut Findings) {
        self.score.extend_from_slice(chunk);
        if left > 0 {
            return;
        }
        let bytes = std::mem::take(&mut self.score);
        let score = bytes.try_into().map_or(f32::NAN, f32::from_le_bytes);
        if !score.is_finite() {
            let message = format_args!("a piece has {score} for its score");
            findings.add(&rules::SPM_PIECE, place, message);
        }
    }

    fn charsmap(&mut self, place: Place, chunk: &[u8], left: u64, findings: &mut Findings) {
        let charsmap = self
            .charsmap
            .get_or_insert_with(|| Charsmap::new(chunk.len() as u64 + left));
        charsmap.feed(chunk);
        if left == 0
            && let Some(flaw) = self.charsmap.take().and_then(Charsmap::flaw)
        {
            findings.add(&rules::SPM_CHARSMAP, place, flaw);
        }
    }

    fn text(&mut self, inside: Part, place: Place, chunk: &[u8], left: u64, findings: &mut Findings) {
        self.text.feed(chunk);
        if left > 0 {
            return;
        }
        let text = std::mem::take(&mut self.text);
        if inside != Part::Piece {
            if text.is_invalid() {
                let message = format_args!("a text is not UTF-8: \"{}\"", text.shown());
                findings.add(&rules::SPM_TEXT, place, message);
            }
            return;
        }
        // One that is empty is as good as none.
        self.named |= !text.is_empty();
        if text.is_invalid() {
            findings.add(&rules::SPM_PIECE, place, "a piece is not UTF-8");
        } else if text.total() > MAX_PIECE_BYTES {
            let message = format_args!("a piece has {} bytes", text.total());
            findings.add(&rules::SPM_PIECE, place, message);
        }
    }
}
