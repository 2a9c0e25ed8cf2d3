//! The hash functions of an RFC 6962 / RFC 9162 Merkle tree over SHA-256.
//!
//! Leaves and nodes are hashed under different prefixes, so that neither can be passed off as the other.

use sha2::{Digest as _, Sha256};

/// A SHA-256 value inside the tree.
pub type Hash = [u8; 32];

/// Hash of a tree without leaves.
pub fn empty() -> Hash {
    Sha256::digest([]).into()
}

/// Hash of a leaf: SHA-256 of a zero byte and the data.
pub fn leaf(data: &[u8]) -> Hash {
    Sha256::new_with_prefix([0]).chain_update(data).finalize().into()
}

/// Hash of an inner node: SHA-256 of a one byte and both children.
pub fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known values from the Certificate Transparency reference tests.
    #[test]
    fn agrees_with_the_published_values() {
        let hex = |hash: Hash| holdfast_contract::Digest::from_bytes(hash).hex();
        assert_eq!(
            hex(empty()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex(leaf(b"")),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        let (first, second) = (leaf(b""), leaf(b"\0"));
        assert_eq!(
            hex(node(&first, &second)),
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
        );
    }
}
