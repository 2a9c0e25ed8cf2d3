//! Pictures that come with models: logos, diagrams, samples. Accepted where they are a picture from the first byte to the last.
//!
//! No loader of models reads them, and what their colours are is nobody's business here. So the structure is followed and nothing is
//! unpacked: every part has to fit, and nothing may follow the end, where other programs look for archives. As in everything else programs
//! and archives are searched for in them. Trust boundary: every byte.

mod jpeg;
mod png;

use jpeg::Jpeg;
use png::Png;

use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::rules;

/// What is wrong with a picture, and at which byte of the file.
type Flaw = (u64, &'static str);

/// A kind of picture, followed as its bytes come.
trait Structure: Send {
    /// Takes the byte at `at`. Returns how many bytes behind it are of no interest.
    fn byte(&mut self, at: u64, byte: u8) -> Result<u64, Flaw>;
    /// Takes bytes that were of no interest.
    fn passed(&mut self, _bytes: &[u8]) {}
    /// Whether the picture has ended.
    fn has_ended(&self) -> bool;
}

/// The inspector for a picture.
pub struct Picture {
    structure: Box<dyn Structure>,
    /// Bytes to pass over.
    pass: u64,
    flaw: Option<Flaw>,
}

impl Picture {
    /// For a PNG picture.
    pub fn png() -> Self {
        Self::new(Box::new(Png::default()))
    }

    /// For a JPEG picture.
    pub fn jpeg() -> Self {
        Self::new(Box::new(Jpeg::default()))
    }

    fn new(structure: Box<dyn Structure>) -> Self {
        Self {
            structure,
            pass: 0,
            flaw: None,
        }
    }
}

impl Inspector for Picture {
    fn feed(&mut self, mut at: u64, mut chunk: &[u8]) {
        while self.flaw.is_none() && !chunk.is_empty() {
            let room = usize::try_from(self.pass).unwrap_or(usize::MAX).min(chunk.len());
            let (passed, rest) = chunk.split_at(room);
            self.structure.passed(passed);
            self.pass -= passed.len() as u64;
            at += passed.len() as u64;
            let Some((byte, rest)) = rest.split_first() else {
                return;
            };
            if self.structure.has_ended() {
                self.flaw = Some((at, "something follows its end"));
                return;
            }
            match self.structure.byte(at, *byte) {
                Ok(pass) => self.pass = pass,
                Err(flaw) => self.flaw = Some(flaw),
            }
            at += 1;
            chunk = rest;
        }
    }

    fn finish(self: Box<Self>, size: u64) -> Found {
        let cut = (self.pass > 0 || !self.structure.has_ended()).then_some((size, "it is cut off"));
        let mut findings = Findings::default();
        match self.flaw.or(cut) {
            Some((at, why)) => {
                let message = format_args!("not the picture that it begins as: {why}");
                findings.add(&rules::FMT_PICTURE_BROKEN, Place::at(at), message);
            }
            None => {
                let message = format_args!("a picture of {size} bytes; no part of a model");
                findings.add(&rules::FMT_PICTURE, Place::whole(), message);
            }
        }
        Found {
            findings,
            ..Found::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pictures;

    /// The rule, the place and the words, however the bytes are cut.
    fn found(kind: fn() -> Picture, bytes: &[u8]) -> (String, Option<u64>, String) {
        let inspect = |size: usize| {
            let mut picture = Box::new(kind());
            for (number, chunk) in bytes.chunks(size).enumerate() {
                picture.feed((number * size) as u64, chunk);
            }
            let (mut findings, _) = picture.finish(bytes.len() as u64).findings.into_parts();
            assert_eq!(findings.len(), 1);
            let finding = findings.remove(0);
            (finding.id, finding.offset, finding.message)
        };
        let whole = inspect(bytes.len().max(1));
        for size in [1, 2, 3, 7] {
            assert_eq!(inspect(size), whole, "in pieces of {size}");
        }
        whole
    }

    fn accepted(kind: fn() -> Picture, bytes: &[u8]) {
        let (id, ..) = found(kind, bytes);
        assert_eq!(id, rules::FMT_PICTURE.id);
    }

    #[track_caller]
    fn refused(kind: fn() -> Picture, bytes: &[u8], at: usize, why: &str) {
        let (id, place, message) = found(kind, bytes);
        assert_eq!(id, rules::FMT_PICTURE_BROKEN.id);
        assert_eq!(
            (place, message.contains(why)),
            (Some(at as u64), true),
            "{message}"
        );
    }

    #[test]
    fn pictures_are_accepted() {
        accepted(Picture::png, &pictures::png(&[]));
        accepted(Picture::png, &pictures::png(&[(b"tEXt", b"Comment\0a picture")]));
        accepted(Picture::jpeg, &pictures::jpeg(b"\x12\xff\x00\x34\xff\xd0\x56"));
    }

    #[test]
    fn what_follows_or_is_missing_is_told() {
        for (kind, bytes) in [
            (Picture::png as fn() -> Picture, pictures::png(&[])),
            (Picture::jpeg, pictures::jpeg(b"\x12")),
        ] {
            let more = [&bytes[..], b"PK\x03\x04"].concat();
            refused(kind, &more, bytes.len(), "something follows");
            for end in 9..bytes.len() {
                refused(kind, &bytes[..end], end, "cut off");
            }
        }
    }

    #[test]
    fn a_png_has_the_parts_that_it_says() {
        let good = pictures::png(&[]);
        let mut sum = good.clone();
        sum[29] ^= 1;
        refused(Picture::png, &sum, 32, "checksum");
        let mut named = good.clone();
        named[12] = b'1';
        refused(Picture::png, &named, 12, "name");
        // Before the end, which has twelve bytes.
        let at = good.len() - 12;
        let more: [(&[u8; 4], &[u8], &str); 3] = [
            (b"EVIL", b"x", "do not have"),
            (b"IHDR", &[0; 13], "wrong place"),
            (b"IEND", b"x", "end with something"),
        ];
        for (name, data, why) in more {
            refused(Picture::png, &pictures::png(&[(name, data)]), at, why);
        }
    }

    #[test]
    fn a_jpeg_has_segments_that_fit() {
        refused(Picture::jpeg, b"\xff\xd8\xff\xe0\0\x01", 5, "length");
        refused(Picture::jpeg, b"\xff\xd8\xff\xe0\0\x02x", 6, "segment");
        refused(Picture::jpeg, b"\xff\xd8\xff\xd8", 3, "segment");
    }
}
