//! The right edge of a growing Merkle tree: all that has to be kept to add leaves and to know the root.

use crate::hash::{self, Hash};

/// A compact range: the roots of the perfect subtrees that make up a tree, largest first.
///
/// Holds at most 64 hashes however large the tree.
#[derive(Debug, Clone, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Leaves added so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash. (The root of a perfect subtree serves as a leaf as well, if all do.)
    pub fn push(&mut self, leaf: Hash) {
        self.size = self.size.saturating_add(1);
        let mut right = leaf;
        for _ in 0..self.size.trailing_zeros() {
            let Some(left) = self.peaks.pop() else { break };
            right = hash::node(&left, &right);
        }
        self.peaks.push(right);
    }

    /// Root of the tree; [`hash::empty`] when it has no leaves.
    pub fn root(&self) -> Hash {
        self.root_with(None).unwrap_or_else(hash::empty)
    }

    /// Root of the tree when `rest`, an incomplete subtree, follows on the right; `None` when there is neither.
    pub fn root_with(&self, rest: Option<Hash>) -> Option<Hash> {
        fold(&self.peaks, rest)
    }
}

/// Folds perfect subtrees, largest first, and what follows them into one root.
pub(crate) fn fold(peaks: &[Hash], rest: Option<Hash>) -> Option<Hash> {
    peaks.iter().rev().fold(rest, |right, peak| {
        Some(match right {
            Some(right) => hash::node(peak, &right),
            None => *peak,
        })
    })
}

/// Root over `hashes`, which are leaves or the roots of equal perfect subtrees, followed by `rest`.
pub(crate) fn root_of(hashes: &[Hash], rest: Option<Hash>) -> Option<Hash> {
    let mut frontier = Frontier::default();
    for hash in hashes {
        frontier.push(*hash);
    }
    frontier.root_with(rest)
}

#[cfg(test)]
pub(crate) mod naive {
    //! RFC 6962 section 2.1, written down as it stands there.

    use crate::hash::{self, Hash};

    /// Largest power of two smaller than `n`.
    fn split(n: usize) -> usize {
        n.next_power_of_two() / 2
    }

    pub fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash::empty(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                hash::node(&root(left), &root(right))
            }
        }
    }

    pub fn inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() <= 1 {
            return Vec::new();
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        if index < k {
            let mut path = inclusion(index, left);
            path.push(root(right));
            path
        } else {
            let mut path = inclusion(index - k, right);
            path.push(root(left));
            path
        }
    }

    pub fn consistency(from: usize, leaves: &[Hash], complete: bool) -> Vec<Hash> {
        if from == leaves.len() {
            return if complete { Vec::new() } else { vec![root(leaves)] };
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        if from <= k {
            let mut proof = consistency(from, left, complete);
            proof.push(root(right));
            proof
        } else {
            let mut proof = consistency(from - k, right, false);
            proof.push(root(left));
            proof
        }
    }

    pub fn leaves(count: usize) -> Vec<Hash> {
        (0..count)
            .map(|i| hash::leaf(format!("leaf {i}").as_bytes()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_agrees_with_the_recursive_definition_at_every_size() {
        let leaves = naive::leaves(600);
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root(), hash::empty());
        for (i, leaf) in leaves.iter().enumerate() {
            frontier.push(*leaf);
            assert_eq!(frontier.root(), naive::root(&leaves[..=i]), "size {}", i + 1);
            assert!(frontier.peaks.len() <= 10);
        }
    }

    #[test]
    fn root_of_equal_subtrees_and_a_rest_is_the_root_of_the_whole() {
        let leaves = naive::leaves(4 * 5 + 3);
        let subtrees: Vec<Hash> = leaves[..20].chunks(4).map(naive::root).collect();
        let rest = naive::root(&leaves[20..]);
        assert_eq!(root_of(&subtrees, Some(rest)), Some(naive::root(&leaves)));
        assert_eq!(root_of(&[], None), None);
    }
}
