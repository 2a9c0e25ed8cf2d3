//! Split GGUF models: the parts say which one they are, and are found by name. Source: llama.cpp's loader and `gguf-split`.

use std::collections::{BTreeMap, BTreeSet};

use super::numbered::{self, Numbered};
use super::{Directory, Judged, Kind, Member, quoted};
use crate::format::Format;
use crate::rules;

/// Judges the parts of each split model.
pub fn judge(directory: &Directory<'_>) -> Vec<Judged> {
    let mut wholes: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    let mut sets = Vec::new();
    for (place, file) in directory.files.iter().enumerate() {
        if file.format != Format::Gguf {
            continue;
        }
        let named = Numbered::of(file.name).filter(|part| part.count > 1);
        let is_part = file.ties.split.is_some_and(|split| split.count > 1);
        match named {
            Some(part) => wholes.entry(part.whole()).or_default().push(place),
            None if is_part => {
                let mut set = Judged::new(Kind::GgufSplit, Some(place), vec![place]);
                let message = "the file is a part of a split model, but its name does not say which";
                set.add(&rules::SET_COUNT, file.name, message);
                sets.push(set);
            }
            None => {}
        }
    }
    sets.extend(wholes.into_values().map(|members| whole(directory, &members)));
    sets
}

fn whole(directory: &Directory<'_>, members: &[usize]) -> Judged {
    let mut set = Judged::new(Kind::GgufSplit, members.first().copied(), members.to_vec());
    set.refuse_with(directory.files, &[]);
    let files: Vec<&Member<'_>> = members
        .iter()
        .filter_map(|place| directory.files.get(*place))
        .collect();
    let parts: Vec<_> = files.iter().filter_map(|file| Numbered::of(file.name)).collect();
    let name = files.first().map_or("", |file| file.name);
    let flaw = numbered::flaw(&parts, false);
    let complete = flaw.is_none();
    if let Some(flaw) = flaw {
        set.add(&rules::SET_COUNT, name, flaw);
    }
    for (file, part) in files.iter().zip(&parts) {
        judge_part(file, *part, &mut set);
    }
    let architectures: BTreeSet<&str> = files.iter().filter_map(|file| file.architecture).collect();
    if architectures.len() > 1 {
        let message = format_args!(
            "the parts are of different architectures: {}",
            architectures
                .iter()
                .map(|name| quoted(name))
                .collect::<Vec<_>>()
                .join(", ")
        );
        set.add(&rules::SET_SPLIT, name, message);
    }
    judge_tensors(&files, name, complete, &mut set);
    set
}

fn judge_part(file: &Member<'_>, part: Numbered<'_>, set: &mut Judged) {
    let Some(split) = file.ties.split else {
        if !file.is_refused() {
            let message = "the name says that the file is a part of a model, the file does not";
            set.add(&rules::SET_SPLIT, file.name, message);
        }
        return;
    };
    if split.number.checked_add(1) != Some(part.number) || split.count != part.count {
        let message = format_args!(
            "by its name the file is part {} of {}, by its content part {} of {}",
            part.number,
            part.count,
            split.number.saturating_add(1),
            split.count
        );
        set.add(&rules::SET_SPLIT, file.name, message);
    }
}

fn judge_tensors(files: &[&Member<'_>], name: &str, complete: bool, set: &mut Judged) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for file in files {
        if file.ties.incomplete {
            let message = format_args!("{} has more tensors than can be compared", quoted(file.name));
            set.add(&rules::SET_LIMIT, file.name, message);
        }
        for tensor in &file.ties.tensors {
            if let Some(before) = seen.insert(&tensor.name, file.name) {
                let message =
                    format_args!("the tensor is in {} and in {}", quoted(before), quoted(file.name));
                set.add(&rules::SET_TWICE, &tensor.name, message);
            }
        }
    }
    let totals: BTreeSet<u64> = files
        .iter()
        .filter_map(|file| file.ties.split.and_then(|split| split.tensors))
        .collect();
    let known = files
        .iter()
        .all(|file| !file.ties.incomplete && !file.is_refused());
    let listed: u64 = files.iter().map(|file| file.ties.tensors.len() as u64).sum();
    let wrong = totals.iter().any(|total| known && complete && *total != listed);
    if totals.len() > 1 || wrong {
        let totals: Vec<String> = totals.iter().map(u64::to_string).collect();
        let message = format_args!(
            "the parts say that the model has {} tensors, they list {listed}",
            totals.join(" or ")
        );
        set.add(&rules::SET_SPLIT, name, message);
    }
}
