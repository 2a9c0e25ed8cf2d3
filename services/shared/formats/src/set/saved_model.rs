//! A TensorFlow `SavedModel`: the graph, its variables, its word lists, and what is noted beside it.
//!
//! Which variable gets which numbers is between the graph and the index of the variables, and neither can make TensorFlow do more than compute; so
//! it is enough that every file is there and was inspected. Alone the graph is refused, because its files could be exchanged.

use super::{Directory, Eased, FOLDERS, Judged, Kind, Member, SAVED_MODEL, quoted};
use crate::format::Format;
use crate::rules;

/// What else belongs to it, at the top of the directory.
const NOTES: [Format; 2] = [Format::TensorflowFingerprint, Format::KerasMetadata];

/// Judges the model at the top of the directory, if it needs other files. `eased` are members that a set of them does not refuse.
pub fn judge(directory: &Directory<'_>, eased: &[usize]) -> Option<Judged> {
    let place = directory.find(SAVED_MODEL)?;
    let model = directory.files.get(place)?;
    let needs = !model.ties.files.is_empty() || model.ties.incomplete;
    (needs && model.format == Format::SavedModel).then_some(())?;
    let belongs = |(other, file): &(usize, &Member<'_>)| {
        let folder = file.name.split_once('/').map(|(folder, _)| folder);
        let is_note = folder.is_none() && NOTES.contains(&file.format);
        *other == place || is_note || folder.is_some_and(|folder| FOLDERS.contains(&folder))
    };
    let members = directory.files.iter().enumerate().filter(belongs);
    let members = members.map(|(member, _)| member).collect();
    let mut set = Judged::new(Kind::SavedModel, Some(place), members);
    if model.ties.incomplete {
        let message = "the model names more files than can be compared";
        set.add(&rules::SET_LIMIT, model.name, message);
    }
    for name in &model.ties.files {
        if directory.find(name).is_none() {
            let message = format_args!("the model needs {}, which is not there", quoted(name));
            set.add(&rules::SET_MISSING, name, message);
        }
    }
    let can_be_eased = model.is_refused_only_by(&rules::TF_ELSEWHERE);
    let mut except = eased.to_vec();
    except.extend(can_be_eased.then_some(place));
    set.refuse_with(directory.files, &except);
    if can_be_eased && !set.findings.refuse() {
        let needed: Vec<String> = model.ties.files.iter().map(|name| quoted(name)).take(8).collect();
        set.eased.push(Eased {
            member: place,
            instead_of: &rules::TF_ELSEWHERE,
            rule: &rules::SET_EXTERNAL,
            message: format!(
                "what the model needs is beside it, inspected with it: {}",
                needed.join(", ")
            ),
        });
    }
    Some(set)
}
