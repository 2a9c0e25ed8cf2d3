//! Model file parsers: pure, bounded, streaming.
