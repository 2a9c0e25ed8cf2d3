//! The judgement on steps and tensors, and on what can only be told at the end.

use std::ops::ControlFlow;

use super::{LATEST, MAX_CUSTOM, MAX_NAMES, Model, describe, stop};
use crate::finding::{Findings, Place};
use crate::onnx::external::External;
use crate::onnx::operators::{self, Standing};
use crate::onnx::parts::{Content, Node, Scope, pair};
use crate::onnx::tensor::{Flaw, Tensor};
use crate::protobuf::ON;
use crate::protobuf::Text;
use crate::rules::{self, Rule};
use crate::text;

impl Model {
    pub(super) fn node(
        &mut self,
        node: &Node,
        at: u64,
        place: Place,
        findings: &mut Findings,
    ) -> ControlFlow<()> {
        let (Some(domain), Some(operator)) = (node.domain.whole(), node.operator.whole()) else {
            findings.add(
                &rules::ONNX_UNKNOWN,
                place,
                "a step's operator has a name that is no text",
            );
            return ON;
        };
        let shown = || match domain {
            "" => format!("`{}`", text::shown(operator)),
            _ => format!("`{}` of `{}`", text::shown(operator), text::shown(domain)),
        };
        match operators::standing(domain, operator) {
            Standing::Standard => {}
            Standing::Effect(how) => {
                findings.add(
                    &rules::ONNX_EFFECT,
                    place,
                    format_args!("the operator {} {how}", shown()),
                );
            }
            Standing::Runtime => {
                if !std::mem::replace(&mut self.runtime_noted, true) {
                    let message = format_args!("the operator {} is not part of the standard", shown());
                    findings.add(&rules::ONNX_RUNTIME, place, message);
                }
            }
            Standing::Unknown | Standing::Custom => {
                let key = pair(domain.as_bytes(), node.operator.fingerprint());
                if self.custom.len() >= MAX_CUSTOM && !self.custom.contains_key(&key) {
                    return stop(
                        place,
                        "it has more custom operators than an inspection follows",
                        findings,
                    );
                }
                self.custom.entry(key).or_insert_with(|| (at, shown()));
            }
        }
        ON
    }

    pub(super) fn tensor(
        &mut self,
        tensor: &Tensor,
        name: &Text,
        field: u32,
        place: Place,
        findings: &mut Findings,
    ) -> ControlFlow<()> {
        let flaw: Option<(&'static Rule, String)> = tensor.flaw().map(|flaw| match flaw {
            Flaw::Type(number) => (
                &rules::ONNX_TYPE,
                format!("the tensor's element type is {number}"),
            ),
            Flaw::Shape(how) => (&rules::ONNX_SHAPE, how.to_owned()),
            Flaw::Data(how) => (&rules::ONNX_SIZE, how),
            Flaw::External(how) => (&rules::ONNX_EXTERNAL_ENTRY, describe(how)),
        });
        if let Some((rule, message)) = flaw {
            findings.add(rule, place.clone(), message);
        }
        if tensor.elsewhere {
            let External {
                location,
                offset,
                length,
                ..
            } = &tensor.external;
            self.ties.external(
                location,
                offset.unwrap_or(0),
                *length,
                tensor.bytes().unwrap_or(u64::MAX),
            );
        }
        if tensor.elsewhere && !std::mem::replace(&mut self.external_noted, true) {
            let message = "the numbers of this tensor, and perhaps of others, are not in the file";
            findings.add(&rules::ONNX_EXTERNAL, place.clone(), message);
        }
        self.tensors += 1;
        self.parameters = self.parameters.saturating_add(tensor.elements());
        if let Some(kind) = tensor.kind() {
            self.by_type.add(kind, tensor.elements());
        }
        // Only initializers are known by name: in a graph directly, or as the values of a sparse one.
        let graph = match self.scopes.as_slice() {
            [
                ..,
                Scope {
                    content: Content::Graph(graph),
                    ..
                },
            ] if field == 5 => Some(*graph),
            [
                ..,
                Scope {
                    content: Content::Graph(graph),
                    ..
                },
                Scope { field: 15, .. },
            ] if field == 1 => Some(*graph),
            _ => None,
        };
        if let Some(graph) = graph {
            if self.initializers.len() >= MAX_NAMES {
                return stop(place, "it has more tensors than an inspection follows", findings);
            }
            if !self
                .initializers
                .insert(pair(&graph.to_le_bytes(), name.fingerprint()))
            {
                findings.add(
                    &rules::ONNX_DUPLICATE,
                    place,
                    "another tensor of this graph has the same name",
                );
            }
        }
        ON
    }

    /// Judges what can only be told at the end of the model.
    pub fn judge(&mut self, findings: &mut Findings) {
        let lacks = match (self.version, self.has_opset, self.has_graph) {
            (_, _, false) => Some("it has no graph"),
            (None | Some(0), ..) => Some("it does not say which version of the format it is of"),
            (Some(3..), false, _) => Some("it does not say which operators it means"),
            _ => None,
        };
        if let Some(lacks) = lacks {
            findings.add(
                &rules::ONNX_INCOMPLETE,
                Place::whole(),
                format_args!("the model is not complete: {lacks}"),
            );
        }
        if let Some(version) = self.version.filter(|version| *version > LATEST) {
            let message =
                format_args!("the version of the format is {version}, the latest known is {LATEST}");
            findings.add(&rules::ONNX_VERSION, Place::whole(), message);
        }
        let custom = std::mem::take(&mut self.custom);
        let mut missing: Vec<_> = custom
            .into_iter()
            .filter(|(operator, _)| !self.functions.contains(operator))
            .map(|(_, place)| place)
            .collect();
        missing.sort_unstable();
        for (at, shown) in missing {
            let message =
                format_args!("the operator {shown} is neither part of the standard nor defined in the model");
            findings.add(&rules::ONNX_CUSTOM, Place::at(at), message);
        }
    }
}
