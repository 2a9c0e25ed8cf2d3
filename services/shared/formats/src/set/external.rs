//! Models whose numbers are in files beside them: ONNX with external data, and the index of a TensorFlow checkpoint. Alone such a file is
//! refused, because nobody could notice if the numbers were exchanged; with them it is judged as a whole, and both are remembered.
//!
//! Every byte of the other file must belong to a tensor or be zero, so that nothing else is carried along.

use std::collections::{BTreeMap, BTreeSet};

use super::{Directory, Eased, Judged, Kind, Member, Zeros, is_plain, quoted};
use crate::format::Format;
use crate::rules::{self, Rule};

/// The most bytes between two tensors. Writers align to the allocation granularity of Windows, which is this.
const MAX_GAP_BYTES: u64 = 64 << 10;

/// Where numbers lie in a file: from, to.
type Range = (u64, u64);

/// What refers to numbers beside it: what it is with them, and what refuses it without.
fn referrer(format: Format) -> Option<(Kind, &'static Rule)> {
    match format {
        Format::Onnx => Some((Kind::OnnxExternal, &rules::ONNX_EXTERNAL)),
        Format::CheckpointIndex => Some((Kind::TensorflowCheckpoint, &rules::TF_INDEX)),
        _ => None,
    }
}

/// The file that a model means by a name. An index says what takes the place of its extension.
fn resolve(directory: &Directory<'_>, model: &Member<'_>, name: &str) -> Option<usize> {
    let name = match model.format {
        Format::CheckpointIndex => format!("{}{name}", model.name.strip_suffix(".index")?),
        _ => name.strip_prefix("./").unwrap_or(name).to_owned(),
    };
    directory.find(&name).filter(|_| is_plain(&name))
}

/// Judges each model with what it refers to.
pub fn judge(directory: &Directory<'_>, zeros: Zeros<'_>) -> Vec<Judged> {
    let mut sets = Vec::new();
    // What models make of each file beside them. A file may serve several.
    let mut ranges: BTreeMap<usize, BTreeSet<Range>> = BTreeMap::new();
    for (place, model) in directory.files.iter().enumerate() {
        if let Some((kind, _)) = referrer(model.format)
            && (!model.ties.external.is_empty() || model.ties.incomplete)
        {
            sets.push(one(directory, place, kind, model, &mut ranges));
        }
    }
    let flaws: BTreeMap<usize, Option<String>> = ranges
        .iter()
        .filter_map(|(place, ranges)| Some((*place, directory.files.get(*place)?, ranges)))
        .map(|(place, file, ranges)| (place, flaw(place, file.size_bytes, ranges, zeros)))
        .collect();
    for set in &mut sets {
        conclude(directory, &flaws, set);
    }
    sets
}

fn one(
    directory: &Directory<'_>,
    place: usize,
    kind: Kind,
    model: &Member<'_>,
    ranges: &mut BTreeMap<usize, BTreeSet<Range>>,
) -> Judged {
    let ties = model.ties;
    let found: Vec<Option<usize>> = ties
        .files
        .iter()
        .map(|name| resolve(directory, model, name))
        .collect();
    let mut members: BTreeSet<usize> = found.iter().flatten().copied().collect();
    members.insert(place);
    let mut set = Judged::new(kind, Some(place), members.into_iter().collect());
    if ties.incomplete {
        let message = "the model names more than can be compared";
        set.add(&rules::SET_LIMIT, model.name, message);
    }
    for (name, _) in ties.files.iter().zip(&found).filter(|(_, found)| found.is_none()) {
        let message = format_args!(
            "the model's numbers are in {}, which is not directly in its directory",
            quoted(name)
        );
        set.add(&rules::SET_MISSING, name, message);
    }
    for external in &ties.external {
        let file = usize::try_from(external.file).ok();
        let Some(target) = file.and_then(|file| found.get(file)).copied().flatten() else {
            continue;
        };
        let size = directory.files.get(target).map_or(0, |file| file.size_bytes);
        let end = external
            .at
            .checked_add(external.needed)
            .filter(|end| *end <= size);
        let name = ties.file_name(external.file);
        match end {
            Some(end) if external.length.is_none_or(|length| length == external.needed) => {
                if end > external.at {
                    ranges.entry(target).or_default().insert((external.at, end));
                }
            }
            Some(_) => {
                let message = format_args!(
                    "a tensor needs {} bytes, the model gives it {}",
                    external.needed,
                    external.length.unwrap_or(0)
                );
                set.add(&rules::SET_RANGE, name, message);
            }
            None => {
                let message = format_args!(
                    "a tensor of {} bytes begins at {} of a file of {size} bytes",
                    external.needed, external.at
                );
                set.add(&rules::SET_RANGE, name, message);
            }
        }
    }
    set
}

/// What is wrong with the way in which tensors fill a file.
fn flaw(place: usize, size: u64, ranges: &BTreeSet<Range>, zeros: Zeros<'_>) -> Option<String> {
    let mut at = 0;
    for (begin, end) in ranges.iter().copied().chain([(size, size)]) {
        if begin < at {
            return Some(format!(
                "tensors overlap: one begins at {begin}, another one ends at {at}"
            ));
        }
        if begin - at >= MAX_GAP_BYTES {
            return Some(format!("{} bytes from {at} on belong to no tensor", begin - at));
        }
        if begin > at {
            match zeros(place, at, begin) {
                Some(true) => {}
                Some(false) => {
                    return Some(format!(
                        "{} bytes from {at} on belong to no tensor and are not zero",
                        begin - at
                    ));
                }
                None => return Some("it cannot be read any more, or has changed".to_owned()),
            }
        }
        at = end;
    }
    None
}

/// What follows, once all models of the directory are known.
fn conclude(directory: &Directory<'_>, flaws: &BTreeMap<usize, Option<String>>, set: &mut Judged) {
    let Some(model) = set.about else { return };
    let format = directory.files.get(model).map(|file| file.format);
    let Some((_, alone)) = format.and_then(referrer) else {
        return;
    };
    let may_be_eased = |place: usize| {
        directory.files.get(place).is_some_and(|file| {
            if place == model {
                file.is_refused_only_by(alone)
            } else {
                file.format == Format::Unknown && file.is_refused_only_by(&rules::FMT_UNKNOWN)
            }
        })
    };
    let members = set.members.clone();
    for member in members.iter().filter(|member| **member != model) {
        let name = directory.files.get(*member).map_or("", |file| file.name);
        match flaws.get(member) {
            Some(Some(flaw)) => set.add(&rules::SET_GAP, name, flaw),
            Some(None) => {}
            None => set.add(&rules::SET_GAP, name, "no tensor of the model is in it"),
        }
    }
    let eased: Vec<usize> = members
        .iter()
        .copied()
        .filter(|place| may_be_eased(*place))
        .collect();
    set.refuse_with(directory.files, &eased);
    if set.findings.refuse() {
        return;
    }
    let name_of = |place: usize| directory.files.get(place).map_or("", |file| file.name);
    set.eased = eased
        .iter()
        .map(|member| {
            let is_model = *member == model;
            let others: Vec<String> = members
                .iter()
                .filter(|other| **other != model)
                .map(|other| quoted(name_of(*other)))
                .take(8)
                .collect();
            Eased {
                member: *member,
                instead_of: if is_model { alone } else { &rules::FMT_UNKNOWN },
                rule: if is_model {
                    &rules::SET_EXTERNAL
                } else {
                    &rules::SET_DATA
                },
                message: if is_model {
                    format!(
                        "the model's numbers are in {}, inspected with it",
                        others.join(", ")
                    )
                } else {
                    format!(
                        "every byte is a number of the model {}, or zero",
                        quoted(name_of(model))
                    )
                },
            }
        })
        .collect();
}
