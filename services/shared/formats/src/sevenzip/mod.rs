//! 7z archives. So far the header is read; nothing uses it yet, and an archive is refused by name (`HF-FMT-012`).
//!
//! To do: read signature header and header ahead (`looking_ahead`, as zip's directory is read), unpacking a packed header with what unpacks LZMA
//! and LZMA2 in `unpack`; route each packed stream through its coder and each part of what comes out to an inspection of its own, as
//! `tar` does, on what is left of the budget; hold names, links (the upper half of the attributes), sizes and sums against each other; rules
//! `HF-7Z-…`; a writer for tests; a fuzz target whose mutator makes the sums right; comparison with py7zr.

pub mod header;
