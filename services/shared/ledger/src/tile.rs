//! Coordinates and paths of C2SP tlog-tiles resources.
//!
//! A path that comes from outside becomes a [`Tile`] or nothing: what parses is exactly what [`Tile::path`] writes, so
//! a path can never leave the tile tree.

use std::fmt::Write as _;

/// Hashes in a full tile, and entries in a full bundle.
pub const WIDTH: u16 = 256;
/// Levels that a tree of 2^64 leaves could have.
pub const LEVELS: u8 = 8;
/// Bytes of one hash in a tile.
pub(crate) const HASH_BYTES: usize = 32;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Hashes of subtrees of `256^level` leaves.
    Hashes {
        /// The level; 0 holds leaf hashes.
        level: u8,
    },
    /// The entries themselves, as a bundle.
    Entries,
}

impl Kind {
    /// The tree level whose hashes stand beside it: entries go with level 0.
    pub const fn level(self) -> u8 {
        match self {
            Self::Hashes { level } => level,
            Self::Entries => 0,
        }
    }
}

/// A tile or an entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// What it holds.
    pub kind: Kind,
    /// Its place in its level.
    pub index: u64,
    /// How many hashes or entries, 1 to 256.
    pub width: u16,
}

impl Tile {
    /// The full or partial tile `index` of a tree with `size` leaves; `None` when that tree has none there.
    pub fn of(kind: Kind, index: u64, size: u64) -> Option<Self> {
        let (full, partial) = extent(kind.level(), size);
        let width = match index.cmp(&full) {
            std::cmp::Ordering::Less => WIDTH,
            std::cmp::Ordering::Equal => partial,
            std::cmp::Ordering::Greater => 0,
        };
        (width > 0).then_some(Self { kind, index, width })
    }

    /// Whether it is a full tile, which no later tree changes.
    pub const fn is_full(self) -> bool {
        self.width == WIDTH
    }

    /// The same place with all 256 hashes or entries.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width: WIDTH, ..self }
    }

    /// The path below the log's prefix, as in the specification: `tile/0/x001/234.p/5`.
    pub fn path(self) -> String {
        let mut path = String::with_capacity(32);
        path.push_str("tile/");
        match self.kind {
            Kind::Hashes { level } => {
                let _ = write!(path, "{level}");
            }
            Kind::Entries => path.push_str("entries"),
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            let _ = write!(path, "/{}{group:03}", if place > 0 { "x" } else { "" });
        }
        if !self.is_full() {
            let _ = write!(path, ".p/{}", self.width);
        }
        path
    }

    /// Reads a path below the log's prefix; `None` when it is not exactly how a tile's path is written.
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("tile/")?;
        let (kind, rest) = rest.split_once('/')?;
        let kind = match kind {
            "entries" => Kind::Entries,
            level => Kind::Hashes {
                level: decimal(level)?.try_into().ok().filter(|level| *level < 64)?,
            },
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => {
                let width = decimal(width)?
                    .try_into()
                    .ok()
                    .filter(|width| (1..WIDTH).contains(width))?;
                (index, width)
            }
            None => (rest, WIDTH),
        };
        let mut number = 0u64;
        for part in index.split('/') {
            let digits = part.strip_prefix('x').unwrap_or(part);
            if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            number = number.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        }
        let tile = Self {
            kind,
            index: number,
            width,
        };
        // One tile, one path: leading zero groups and misplaced `x` are refused here.
        (tile.path() == path).then_some(tile)
    }

    /// Number of leaves in the smallest tree that has it; `None` beyond 2^64.
    pub fn needs(self) -> Option<u64> {
        let per_hash = 1u64.checked_shl(8 * u32::from(self.kind.level()))?;
        let hashes = self
            .index
            .checked_mul(u64::from(WIDTH))?
            .checked_add(u64::from(self.width))?;
        hashes.checked_mul(per_hash)
    }
}

/// Decimal without sign or leading zeros.
fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// How many full tiles level `level` of a tree with `size` leaves has, and how wide the partial one after them is.
pub fn extent(level: u8, size: u64) -> (u64, u16) {
    let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
    let [partial, ..] = hashes.to_le_bytes();
    (hashes >> 8, u16::from(partial))
}

/// The partial tiles of a tree with `size` leaves, and its partial entry bundle.
pub fn partials(size: u64) -> impl Iterator<Item = Tile> {
    (0..LEVELS)
        .map(|level| Kind::Hashes { level })
        .chain([Kind::Entries])
        .filter_map(move |kind| Tile::of(kind, extent(kind.level(), size).0, size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashes(level: u8, index: u64, width: u16) -> Tile {
        Tile {
            kind: Kind::Hashes { level },
            index,
            width,
        }
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(hashes(0, 1_234_067, WIDTH).path(), "tile/0/x001/x234/067");
        assert_eq!(hashes(1, 0, 1).path(), "tile/1/000.p/1");
        let bundle = Tile {
            kind: Kind::Entries,
            index: 1000,
            width: 112,
        };
        assert_eq!(bundle.path(), "tile/entries/x001/000.p/112");
    }

    #[test]
    fn refuses_every_other_spelling() {
        for path in [
            "tile/0/67",
            "tile/0/0067",
            "tile/00/067",
            "tile/64/067",
            "tile/-1/067",
            "tile/0/x000/067",
            "tile/0/001/067",
            "tile/0/x001/x067",
            "tile/0/067.p/0",
            "tile/0/067.p/256",
            "tile/0/067.p/01",
            "tile/0/067.p/",
            "tile/0/067/",
            "tile/0//067",
            "tile/0/../067",
            "tile/entries/../../checkpoint",
            "tile/data/067",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "/tile/0/067",
            "",
        ] {
            assert_eq!(Tile::parse(path), None, "{path}");
        }
        assert_eq!(Tile::parse("tile/0/067.p/255"), Some(hashes(0, 67, 255)));
    }

    #[test]
    fn a_tree_of_70000_has_the_tiles_the_specification_says() {
        assert_eq!(extent(0, 70_000), (273, 112));
        assert_eq!(extent(1, 70_000), (1, 17));
        assert_eq!(extent(2, 70_000), (0, 1));
        assert_eq!(extent(3, 70_000), (0, 0));
        assert_eq!((extent(0, 256), extent(1, 256)), ((1, 0), (0, 1)));
        let paths: Vec<String> = partials(70_000).map(Tile::path).collect();
        assert_eq!(
            paths,
            [
                "tile/0/273.p/112",
                "tile/1/001.p/17",
                "tile/2/000.p/1",
                "tile/entries/273.p/112"
            ]
        );
        assert_eq!(partials(0).count(), 0);
    }

    proptest! {
        #[test]
        fn what_is_written_parses_back(level in 0u8..64, index in 0u64..=u64::MAX / 256, width in 1u16..=256) {
            for kind in [Kind::Hashes { level }, Kind::Entries] {
                let tile = Tile { kind, index, width };
                prop_assert_eq!(Tile::parse(&tile.path()), Some(tile));
            }
        }

        #[test]
        fn parsing_never_panics_and_accepts_one_spelling(path in "(tile/)?(entries|[0-9]{1,3})(/x?[0-9]{1,4}){1,4}(.p/[0-9]{0,4})?") {
            if let Some(tile) = Tile::parse(&path) {
                prop_assert_eq!(tile.path(), path);
            }
        }
    }
}
