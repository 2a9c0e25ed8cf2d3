//! Shards: an index says in which file each tensor is. Files that are only numbered have no index, and their tensors must differ.
//!
//! Loaders disagree about what wins where index and shards do not agree: some go by the index, some load every file whole.

use std::collections::{BTreeMap, BTreeSet};

use super::numbered::{self, Numbered};
use super::{Directory, Judged, Kind, Member, is_plain, quoted};
use crate::format::Format;
use crate::rules;
use crate::text;

/// Judges every index, and numbered files that none speaks for.
pub fn judge(directory: &Directory<'_>) -> Vec<Judged> {
    let mut sets = Vec::new();
    let mut claimed = BTreeSet::new();
    for (place, file) in directory.files.iter().enumerate() {
        let is_index = file.format == Format::Json
            && (!file.ties.mapped.is_empty() || file.name.ends_with(".index.json") && file.ties.incomplete);
        if is_index {
            let set = indexed(directory, place, file);
            claimed.extend(set.members.iter().copied());
            sets.push(set);
        }
    }
    let mut loose: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, file) in directory.files.iter().enumerate() {
        if let Some(part) = Numbered::of(file.name)
            && kind_of(file.format).is_some()
            && part.count > 1
            && !claimed.contains(&place)
        {
            loose.entry(part.whole()).or_default().push(place);
        }
    }
    sets.extend(
        loose
            .into_values()
            .map(|members| numbered_only(directory, members)),
    );
    sets
}

fn kind_of(format: Format) -> Option<Kind> {
    match format {
        Format::Safetensors => Some(Kind::SafetensorsShards),
        Format::PytorchZip | Format::PytorchLegacy | Format::Pickle => Some(Kind::PytorchShards),
        _ => None,
    }
}

fn indexed(directory: &Directory<'_>, place: usize, index: &Member<'_>) -> Judged {
    let names = &index.ties.files;
    let found: Vec<Option<usize>> = names
        .iter()
        .map(|name| directory.find(name).filter(|_| is_plain(name)))
        .collect();
    let shards: BTreeSet<usize> = found.iter().flatten().copied().collect();
    let formats = shards.iter().filter_map(|shard| directory.files.get(*shard));
    let kind = formats
        .filter_map(|file| kind_of(file.format))
        .max()
        .unwrap_or_else(|| {
            let is_safetensors = index.name.contains("safetensors");
            if is_safetensors {
                Kind::SafetensorsShards
            } else {
                Kind::PytorchShards
            }
        });
    let mut members = vec![place];
    members.extend(shards.iter().filter(|shard| **shard != place));
    let mut set = Judged::new(kind, Some(place), members);
    set.refuse_with(directory.files, &[]);
    for (name, _) in names.iter().zip(&found).filter(|(_, found)| found.is_none()) {
        let message = format_args!("the index names {}, which is not in the directory", quoted(name));
        set.add(&rules::SET_MISSING, name, message);
    }
    let parts: Vec<_> = names.iter().filter_map(|name| Numbered::of(name)).collect();
    // Parts of several wholes may stand in one index; each is counted by itself.
    let mut wholes: BTreeMap<_, Vec<Numbered<'_>>> = BTreeMap::new();
    for part in parts {
        wholes.entry((part.prefix, part.suffix)).or_default().push(part);
    }
    for flaw in wholes.values().filter_map(|parts| numbered::flaw(parts, true)) {
        set.add(&rules::SET_COUNT, index.name, flaw);
    }
    compare(directory, index, &found, &mut set);
    set
}

/// Compares what the index says with what is in the shards.
fn compare(directory: &Directory<'_>, index: &Member<'_>, found: &[Option<usize>], set: &mut Judged) {
    if index.ties.incomplete {
        let message = "the index names more than can be compared";
        return set.add(&rules::SET_LIMIT, index.name, message);
    }
    let mut said: BTreeMap<&str, Option<usize>> = BTreeMap::new();
    for mapped in &index.ties.mapped {
        let file = usize::try_from(mapped.file).ok().and_then(|file| found.get(file));
        said.insert(&mapped.name, file.copied().flatten());
    }
    let shards: BTreeSet<usize> = found.iter().flatten().copied().collect();
    let (tensors, bytes) = contents(directory, &shards, set);
    let name_of = |place: usize| directory.files.get(place).map_or("", |file| file.name);
    for (tensor, place) in &tensors {
        match said.get(tensor) {
            None => {
                let message = format_args!(
                    "{} has a tensor that the index does not list",
                    quoted(name_of(*place))
                );
                set.add(&rules::SET_UNLISTED, tensor, message);
            }
            Some(Some(wanted)) if wanted != place => {
                let message = format_args!(
                    "the index says {}, but the tensor is in {}",
                    quoted(name_of(*wanted)),
                    quoted(name_of(*place))
                );
                set.add(&rules::SET_PLACE, tensor, message);
            }
            Some(_) => {}
        }
    }
    // What a refused shard or one with too many tensors holds is not known; that is said already.
    let known = |place: &usize| directory.files.get(*place).is_some_and(is_known);
    for (tensor, place) in &said {
        if let Some(place) = place.filter(known)
            && !tensors.contains_key(tensor)
        {
            let message = format_args!("the tensor is not in {}", quoted(name_of(place)));
            set.add(&rules::SET_PLACE, tensor, message);
        }
    }
    let whole = found.iter().all(|place| place.as_ref().is_some_and(known));
    if let Some(total) = index.ties.total_bytes.filter(|total| whole && *total != bytes) {
        let message = format_args!("the index says {total} bytes, the tensors have {bytes}");
        set.add(&rules::SET_TOTAL, index.name, message);
    }
}

fn is_known(file: &Member<'_>) -> bool {
    !file.is_refused() && !file.ties.incomplete
}

/// Where each tensor is, and how many bytes all have.
fn contents<'a>(
    directory: &'a Directory<'_>,
    shards: &BTreeSet<usize>,
    set: &mut Judged,
) -> (BTreeMap<&'a str, usize>, u64) {
    let mut tensors = BTreeMap::new();
    let mut bytes: u64 = 0;
    for (place, file) in shards
        .iter()
        .filter_map(|place| Some((*place, directory.files.get(*place)?)))
    {
        if file.ties.incomplete && !file.is_refused() {
            let message = format_args!("{} has more tensors than can be compared", quoted(file.name));
            set.add(&rules::SET_LIMIT, file.name, message);
        }
        for tensor in &file.ties.tensors {
            bytes = bytes.saturating_add(tensor.bytes);
            let before = tensors.insert(tensor.name.as_str(), place);
            if let Some(before) = before.and_then(|before| directory.files.get(before)) {
                let message = format_args!(
                    "the tensor is in {} and in {}",
                    quoted(before.name),
                    quoted(file.name)
                );
                set.add(&rules::SET_TWICE, &tensor.name, message);
            }
        }
    }
    (tensors, bytes)
}

fn numbered_only(directory: &Directory<'_>, members: Vec<usize>) -> Judged {
    let files: Vec<&Member<'_>> = members
        .iter()
        .filter_map(|place| directory.files.get(*place))
        .collect();
    let kind = files.iter().filter_map(|file| kind_of(file.format)).max();
    let parts: Vec<_> = files.iter().filter_map(|file| Numbered::of(file.name)).collect();
    let first = members.first().copied();
    let mut set = Judged::new(kind.unwrap_or(Kind::SafetensorsShards), first, members.clone());
    set.refuse_with(directory.files, &[]);
    let name = files.first().map_or("", |file| file.name);
    match numbered::flaw(&parts, false) {
        Some(flaw) => set.add(&rules::SET_COUNT, name, flaw),
        None => {
            let message = format_args!("no index says which of the {} files holds what", files.len());
            set.add(&rules::SET_NO_INDEX, &text::shown(name), message);
        }
    }
    contents(directory, &members.into_iter().collect(), &mut set);
    set
}
