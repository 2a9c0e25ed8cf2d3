//! Writes the seeds of the fuzz targets: small files of each kind, ordinary and hostile ones, all made by this program.
//!
//! `cargo run --release -p holdfast-formats --example seeds` replaces those folders of `services/shared/formats/fuzz/seeds` that it
//! fills.

mod all;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let mut totals: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for ((target, name), bytes) in all::all() {
        if !totals.contains_key(target) && folder.join(target).exists() {
            fs::remove_dir_all(folder.join(target))?;
        }
        fs::create_dir_all(folder.join(target))?;
        fs::write(folder.join(target).join(name), &bytes)?;
        let (count, sum) = totals.entry(target).or_default();
        *count += 1;
        *sum += bytes.len();
    }
    for (target, (count, bytes)) in totals {
        println!("{target:<12} {count:>4} files {bytes:>8} bytes");
    }
    Ok(())
}
