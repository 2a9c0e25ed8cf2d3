//! Signed scan statements: in-toto statements in DSSE envelopes.
