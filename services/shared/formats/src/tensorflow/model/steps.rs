//! The judgement on steps and constants, and on what can only be told at the end.

use super::{Flowing, MAX_UNKNOWN, Model, VARIABLES, stop};
use crate::finding::{Findings, Place};
use crate::protobuf::ON;
use crate::rules;
use crate::tensorflow::attribute::Reach;
use crate::tensorflow::flow::{self, Use};
use crate::tensorflow::operators::{self, Standing};
use crate::tensorflow::parts::Node;
use crate::tensorflow::tensor::Tensor;
use crate::text::{self, Fingerprint};

impl Model {
    /// A step has been read to its end.
    pub(super) fn step(&mut self, node: Node, at: u64, place: Place, findings: &mut Findings) -> Flowing {
        let operator = node.operator.whole().unwrap_or_default();
        let shown = || format!("`{}`", node.operator.shown());
        let mut followed = None;
        match operators::standing(operator) {
            Standing::Known => {}
            Standing::Effect(how) => findings.add(
                &rules::TF_EFFECT,
                place.clone(),
                format_args!("the operator {} {how}", shown()),
            ),
            Standing::Files(how) => findings.add(
                &rules::TF_FILES,
                place.clone(),
                format_args!("the operator {} {how}", shown()),
            ),
            Standing::Variable => {
                self.ties.beside(VARIABLES);
                self.elsewhere(place.clone(), findings);
            }
            Standing::Saver(inputs) => followed = Some(inputs),
            Standing::Unknown => {
                let key = node.operator.fingerprint();
                if self.unknown.len() >= MAX_UNKNOWN && !self.unknown.contains_key(&key) {
                    return stop(
                        place,
                        "it has more operators of its own than an inspection follows",
                        findings,
                    );
                }
                self.unknown.entry(key).or_insert_with(|| (at, shown()));
            }
        }
        for reach in &node.reaches {
            let (rule, does) = match reach {
                Reach::Prints => (&rules::TF_EFFECT, "prints to a file"),
                Reach::Sends => (
                    &rules::TF_EFFECT,
                    "sends what passes through to a file or a service",
                ),
                Reach::Words => (&rules::TF_FILES, "reads a word list from a file"),
                Reach::Descriptions => (&rules::TF_FILES, "reads descriptions of messages from a file"),
            };
            let message = format_args!("the operator {} {does}", shown());
            findings.add(rule, place.clone(), message);
        }
        let named = operators::standing(operator) == Standing::Unknown;
        let direct = matches!(operator, "PartitionedCall" | "StatefulPartitionedCall");
        let origin = flow::origin(operator, &node.inputs, node.constant);
        let Some(flow) = self.flow() else { return ON };
        if !flow.has_room() {
            return stop(place, "it has more steps than an inspection follows", findings);
        }
        if !flow.step(node.name.fingerprint(), origin) {
            findings.add(
                &rules::TF_DUPLICATE,
                place.clone(),
                "there is another step of this name",
            );
        }
        let mut room = true;
        if let Some(count) = followed {
            let mut inputs = node.inputs.clone();
            inputs.truncate(count);
            // Without inputs nobody gives it a name.
            inputs.resize(count, Fingerprint::default());
            room &= flow.uses(Use {
                callee: None,
                inputs,
                at,
            });
        }
        if named {
            let callee = Some(node.operator.fingerprint());
            room &= flow.uses(Use {
                callee,
                inputs: node.inputs.clone(),
                at,
            });
        }
        for callee in node.callees {
            // Other operators give a function what they like.
            let inputs = if direct { node.inputs.clone() } else { Vec::new() };
            room &= flow.uses(Use {
                callee: Some(callee),
                inputs,
                at,
            });
        }
        if room {
            ON
        } else {
            stop(place, "it has more calls than an inspection follows", findings)
        }
    }

    pub(super) fn constant(&mut self, tensor: &Tensor, place: Place, findings: &mut Findings) {
        if let Some(flaw) = tensor.flaw() {
            findings.add(
                &rules::TF_SIZE,
                place,
                format_args!("the data of a constant does not fit: {flaw}"),
            );
        }
        if let (true, Some(node)) = (tensor.kind == 7, self.node()) {
            node.constant = Some(node.constant.unwrap_or(true) && !tensor.leads);
        }
        self.tensors += 1;
        self.parameters = self.parameters.saturating_add(tensor.elements());
        if let Some(name) = tensor.name() {
            self.by_type.add(name, tensor.elements());
        }
    }

    /// Judges what can only be told at the end.
    pub fn judge(&mut self, findings: &mut Findings) {
        if let Some(flow) = self.outermost.take() {
            self.calls.add(None, &flow);
        }
        if self.graphs == 0 {
            findings.add(&rules::TF_BROKEN, Place::whole(), "the file has no graph");
        }
        self.calls.resolve();
        for at in &self.calls.wrong {
            let message = "the name of the file is not left to whoever runs the graph";
            findings.add(&rules::TF_SAVER, Place::at(*at), message);
        }
        if self.calls.too_many {
            findings.add(
                &rules::TF_LIMIT,
                Place::whole(),
                "it has more calls than an inspection follows",
            );
        }
        let unknown = std::mem::take(&mut self.unknown);
        let mut missing: Vec<_> = unknown
            .into_iter()
            .filter(|(operator, _)| !self.functions.contains(operator))
            .map(|(_, place)| place)
            .collect();
        missing.sort_unstable();
        for (at, shown) in missing {
            let message = format_args!(
                "the operator {} is neither TensorFlow's nor a function of the model",
                text::shown(&shown)
            );
            findings.add(&rules::TF_UNKNOWN, Place::at(at), message);
        }
    }
}
