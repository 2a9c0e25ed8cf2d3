//! Inclusion and consistency proofs (RFC 9162 sections 2.1.3 and 2.1.4): making them from stored nodes, and
//! checking them with nothing but hashes.

use crate::hash::{self, Hash};

/// Where the hashes of perfect subtrees come from.
pub trait Nodes {
    /// Why a hash could not be had.
    type Error;

    /// Hash of the subtree over leaves `index * 2^height .. (index + 1) * 2^height`.
    ///
    /// # Errors
    /// When it is not stored or cannot be read.
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index lies outside the tree, or the older tree is the larger one.
    #[error("the proof is for an impossible place or size")]
    Range,
    /// The proof has too few or too many hashes.
    #[error("the proof has the wrong length")]
    Length,
    /// The hashes do not lead to the expected root.
    #[error("the proof does not lead to the expected root")]
    Root,
}

/// Largest power of two smaller than `n`, for `n` of at least 2.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Hash over leaves `start..end`, a range that the recursion of the RFC arrives at.
fn range<N: Nodes>(nodes: &mut N, start: u64, end: u64) -> Result<Hash, N::Error> {
    let count = end - start;
    if count.is_power_of_two() {
        return nodes.node(count.ilog2(), start / count);
    }
    let middle = start + split(count);
    let left = range(nodes, start, middle)?;
    Ok(hash::node(&left, &range(nodes, middle, end)?))
}

/// Root of the tree over the first `size` leaves.
///
/// # Errors
/// When a node cannot be had.
pub fn root<N: Nodes>(nodes: &mut N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 {
        Ok(hash::empty())
    } else {
        range(nodes, 0, size)
    }
}

/// Proof that leaf `index` is in the tree of `size` leaves; `None` when `index` is not below `size`.
///
/// # Errors
/// When a node cannot be had.
pub fn inclusion<N: Nodes>(nodes: &mut N, index: u64, size: u64) -> Result<Option<Vec<Hash>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// Proof that the tree of `to` leaves continues the one of `from` leaves; `None` when `from` is larger.
///
/// Everything continues the empty tree; that proof is empty, like the one between equal sizes.
///
/// # Errors
/// When a node cannot be had.
pub fn consistency<N: Nodes>(nodes: &mut N, from: u64, to: u64) -> Result<Option<Vec<Hash>>, N::Error> {
    if from > to {
        return Ok(None);
    }
    let mut path = Vec::new();
    if from == 0 || from == to {
        return Ok(Some(path));
    }
    let (mut start, mut end) = (0, to);
    while end != from {
        let middle = start + split(end - start);
        if from <= middle {
            path.push(range(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range(nodes, start, middle)?);
            start = middle;
        }
    }
    if start != 0 {
        path.push(range(nodes, start, end)?);
    }
    path.reverse();
    Ok(Some(path))
}

/// Checks that the leaf with hash `leaf` is number `index` of the tree with `size` leaves and that `root`.
///
/// # Errors
/// [`ProofError`] when it is not shown.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Range);
    }
    let (mut place, mut last) = (index, size - 1);
    let mut found = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            found = hash::node(sibling, &found);
            climb_to_right_child(&mut place, &mut last);
        } else {
            found = hash::node(&found, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if found == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Checks that the tree of `to` leaves with root `to_root` continues the one of `from` leaves with `from_root`.
///
/// # Errors
/// [`ProofError`] when it is not shown.
pub fn verify_consistency(
    from: u64,
    from_root: &Hash,
    to: u64,
    to_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if from > to {
        return Err(ProofError::Range);
    }
    if from == to || from == 0 {
        if !proof.is_empty() {
            return Err(ProofError::Length);
        }
        let holds = if from == to {
            from_root == to_root
        } else {
            *from_root == hash::empty()
        };
        return if holds { Ok(()) } else { Err(ProofError::Root) };
    }
    let (first, rest) = if from.is_power_of_two() {
        (from_root, proof)
    } else {
        proof.split_first().ok_or(ProofError::Length)?
    };
    let (mut place, mut last) = (from - 1, to - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let (mut older, mut newer) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if place & 1 == 1 || place == last {
            older = hash::node(hash, &older);
            newer = hash::node(hash, &newer);
            climb_to_right_child(&mut place, &mut last);
        } else {
            newer = hash::node(&newer, hash);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if older == *from_root && newer == *to_root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Where the tree is not perfect, a node without a sibling stands for its parent as well.
fn climb_to_right_child(place: &mut u64, last: &mut u64) {
    while *place & 1 == 0 && *place != 0 {
        *place >>= 1;
        *last >>= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::tree::naive;

    struct Memory {
        leaves: Vec<Hash>,
        perfect: HashMap<(u32, u64), Hash>,
    }

    fn memory(count: usize) -> Memory {
        Memory {
            leaves: naive::leaves(count),
            perfect: HashMap::new(),
        }
    }

    impl Nodes for Memory {
        type Error = Infallible;
        fn node(&mut self, height: u32, index: u64) -> Result<Hash, Infallible> {
            let width = 1usize << height;
            let start = usize::try_from(index).unwrap() * width;
            let leaves = &self.leaves;
            let hash = self
                .perfect
                .entry((height, index))
                .or_insert_with(|| naive::root(&leaves[start..start + width]));
            Ok(*hash)
        }
    }

    const SIZES: usize = 300;

    #[test]
    fn every_inclusion_proof_is_the_recursive_one_and_holds() {
        let mut nodes = memory(SIZES);
        for size in 1..=SIZES {
            let leaves = nodes.leaves[..size].to_vec();
            let tree_root = naive::root(&leaves);
            assert_eq!(root(&mut nodes, size as u64), Ok(tree_root));
            for index in 0..size {
                let proof = inclusion(&mut nodes, index as u64, size as u64).unwrap().unwrap();
                // The naive form costs the square of the size: compare it on a share of the places.
                if index % 7 == size % 7 {
                    assert_eq!(proof, naive::inclusion(index, &leaves), "{index} of {size}");
                }
                let check = verify_inclusion(&leaves[index], index as u64, size as u64, &proof, &tree_root);
                assert_eq!(check, Ok(()), "{index} of {size}");
            }
            assert_eq!(inclusion(&mut nodes, size as u64, size as u64), Ok(None));
        }
    }

    #[test]
    fn every_consistency_proof_is_the_recursive_one_and_holds() {
        let mut nodes = memory(SIZES);
        let roots: Vec<Hash> = (0..=SIZES)
            .map(|size| naive::root(&nodes.leaves[..size]))
            .collect();
        for to in 0..=SIZES {
            for from in 0..=to {
                let proof = consistency(&mut nodes, from as u64, to as u64).unwrap().unwrap();
                if from > 0 && (from + to) % 5 == 0 {
                    assert_eq!(
                        proof,
                        naive::consistency(from, &nodes.leaves[..to], true),
                        "{from} to {to}"
                    );
                }
                let check = verify_consistency(from as u64, &roots[from], to as u64, &roots[to], &proof);
                assert_eq!(check, Ok(()), "{from} to {to}");
            }
            assert_eq!(consistency(&mut nodes, to as u64 + 1, to as u64), Ok(None));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn a_changed_inclusion_proof_proves_nothing(
            size in 2usize..SIZES, place in any::<prop::sample::Index>(), change in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let index = place.index(size);
            let mut nodes = memory(size);
            let (leaf, tree_root) = (nodes.leaves[index], naive::root(&nodes.leaves));
            let proof = inclusion(&mut nodes, index as u64, size as u64).unwrap().unwrap();
            let check = |leaf: &Hash, index: usize, size: usize, proof: &[Hash]| {
                verify_inclusion(leaf, index as u64, size as u64, proof, &tree_root)
            };
            let mut flipped = proof.clone();
            let byte = change.index(proof.len() * 32);
            flipped[byte / 32][byte % 32] ^= 1 << bit;
            prop_assert_eq!(check(&leaf, index, size, &flipped), Err(ProofError::Root));
            prop_assert_eq!(check(&leaf, index, size, &proof[1..]), Err(ProofError::Length));
            let mut longer = proof.clone();
            longer.push(leaf);
            prop_assert_eq!(check(&leaf, index, size, &longer), Err(ProofError::Length));
            prop_assert!(check(&leaf, (index + 1) % size, size, &proof).is_err());
            prop_assert_eq!(check(&leaf, size, size, &proof), Err(ProofError::Range));
        }

        #[test]
        fn a_changed_consistency_proof_proves_nothing(
            to in 3usize..SIZES, older in any::<prop::sample::Index>(), change in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let from = 1 + older.index(to - 1);
            let mut nodes = memory(to);
            let (from_root, to_root) = (naive::root(&nodes.leaves[..from]), naive::root(&nodes.leaves));
            let proof = consistency(&mut nodes, from as u64, to as u64).unwrap().unwrap();
            let check = |from_root: &Hash, proof: &[Hash]| {
                verify_consistency(from as u64, from_root, to as u64, &to_root, proof)
            };
            let mut flipped = proof.clone();
            let byte = change.index(proof.len() * 32);
            flipped[byte / 32][byte % 32] ^= 1 << bit;
            prop_assert_eq!(check(&from_root, &flipped), Err(ProofError::Root));
            prop_assert_eq!(check(&from_root, &proof[1..]), Err(ProofError::Length));
            prop_assert_eq!(check(&to_root, &proof), Err(ProofError::Root));
            prop_assert_eq!(
                verify_consistency(to as u64, &to_root, from as u64, &from_root, &proof),
                Err(ProofError::Range)
            );
        }
    }
}
