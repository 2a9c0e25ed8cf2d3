//! Where the tensors' data lies: order, overlaps, gaps, padding, and the end of the file.

use super::tensors::Extent;
use crate::finding::{Findings, Place};
use crate::names::Names;
use crate::rules;

/// The data section, checked while its bytes go by.
#[derive(Debug)]
pub struct Layout {
    /// Where the header ends in the file.
    header_end: u64,
    /// Where the data section begins in the file: the end of the header, aligned.
    start: u64,
    alignment: u64,
    /// In the order of their data, relative to `start`.
    extents: Vec<Extent>,
    /// Whether the extents follow each other with nothing but padding between them, so that padding can be told from data.
    contiguous: bool,
    /// The extent whose data or padding comes next.
    next: usize,
    /// Whether non-zero padding was reported.
    reported: bool,
}

/// `value` rounded up to a multiple of `alignment`, a power of two; `None` where that does not fit.
pub fn align(value: u64, alignment: u64) -> Option<u64> {
    value.checked_next_multiple_of(alignment)
}

impl Layout {
    /// Judges order, overlaps and gaps.
    pub fn new(
        header_end: u64,
        alignment: u64,
        mut extents: Vec<Extent>,
        names: &Names,
        findings: &mut Findings,
    ) -> Self {
        // Positions are below the size of a file and alignments below 2^32, so this fits.
        let start = align(header_end, alignment).unwrap_or(u64::MAX);
        let listed_in_order = extents.is_sorted_by_key(|extent| (extent.begin, extent.end));
        extents.sort_by_key(|extent| (extent.begin, extent.end));
        let mut layout = Self {
            header_end,
            start,
            alignment,
            contiguous: true,
            extents,
            next: 0,
            reported: false,
        };
        layout.judge(names, findings);
        if layout.contiguous && !listed_in_order {
            findings.add(
                &rules::GGUF_ORDER,
                Place::at(header_end),
                "the tensors' data is complete but in another order than the list of tensors",
            );
        }
        layout
    }

    fn judge(&mut self, names: &Names, findings: &mut Findings) {
        let mut end = 0;
        let mut padded = 0;
        for extent in &self.extents {
            let place = Place::at(extent.at).of_any(names.shown(extent.index));
            if extent.begin < end {
                self.contiguous = false;
                let message = format_args!(
                    "the tensor's data begins at {}, {} bytes before that of another tensor ends",
                    self.start.saturating_add(extent.begin),
                    end - extent.begin
                );
                findings.add(&rules::GGUF_OVERLAP, place, message);
            } else if extent.begin > padded {
                self.contiguous = false;
                let message = format_args!(
                    "{} bytes from {} on, before this tensor's data, belong to nothing",
                    extent.begin - padded,
                    self.start.saturating_add(padded)
                );
                findings.add(&rules::GGUF_GAP, place, message);
            } else if extent.begin != padded {
                // Inside the padding of its predecessor: reported as misaligned where it was declared.
                self.contiguous = false;
            }
            end = end.max(extent.end);
            padded = align(end, self.alignment).unwrap_or(u64::MAX);
        }
    }

    /// Where the last tensor ends, and where its padding does, in the file.
    fn ends(&self) -> (u64, u64) {
        let end = self.extents.iter().map(|extent| extent.end).max().unwrap_or(0);
        if end == 0 {
            return (self.header_end, self.start);
        }
        let padded = align(end, self.alignment).unwrap_or(u64::MAX);
        (self.start.saturating_add(end), self.start.saturating_add(padded))
    }

    /// Bytes between the header and the data section.
    pub fn header_padding(&self) -> u64 {
        self.start - self.header_end
    }

    /// Takes bytes of the data section; they begin at `at` in the file. Padding must be zero.
    pub fn feed(&mut self, at: u64, bytes: &[u8], names: &Names, findings: &mut Findings) {
        if !self.contiguous || self.reported {
            return;
        }
        let first = at.saturating_sub(self.start);
        let last = first.saturating_add(bytes.len() as u64);
        while let Some(extent) = self.extents.get(self.next) {
            let padded = align(extent.end, self.alignment).unwrap_or(u64::MAX);
            if extent.end >= last {
                return;
            }
            let within =
                |position: u64| usize::try_from(position.saturating_sub(first)).unwrap_or(usize::MAX);
            let padding = bytes
                .get(within(extent.end)..within(padded.min(last)))
                .unwrap_or_default();
            if let Some(position) = padding.iter().position(|byte| *byte != 0) {
                let position = first.max(extent.end) + position as u64;
                findings.add(
                    &rules::GGUF_PADDING,
                    Place::at(self.start.saturating_add(position)).of_any(names.shown(extent.index)),
                    "the padding after this tensor is not zero",
                );
                self.reported = true;
                return;
            }
            if padded > last {
                return;
            }
            self.next += 1;
        }
    }

    /// The file ended after `size` bytes.
    pub fn finish(&self, size: u64, names: &Names, findings: &mut Findings) {
        let (end, padded) = self.ends();
        // Some writers leave out the padding after the last tensor.
        if size < end {
            let cut = self
                .extents
                .iter()
                .filter(|extent| self.start.saturating_add(extent.end) > size);
            let count = cut.clone().count();
            let first = cut.clone().next();
            findings.add(
                &rules::GGUF_DATA_TRUNCATED,
                Place::at(size).of_any(first.and_then(|extent| names.shown(extent.index))),
                format_args!(
                    "the file has {size} bytes but its tensors need {end}; the data of {count} tensors is missing or cut off"
                ),
            );
        } else if size > padded {
            findings.add(
                &rules::GGUF_TRAILING,
                Place::at(padded),
                format_args!("{} bytes follow the last tensor", size - padded),
            );
        }
    }
}
