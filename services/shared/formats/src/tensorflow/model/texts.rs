//! The texts of a graph: names of steps, functions and files, and constants.

use super::{ASSETS, Flowing, MAX_INPUTS, Model, NAMED_FILES, stop};
use crate::finding::Findings;
use crate::protobuf::ON;
use crate::protobuf::{Spot, Text};
use crate::rules;
use crate::tensorflow::flow;
use crate::tensorflow::parts::{Content, Scope, source};
use crate::tensorflow::schema::Part;

impl Model {
    pub(super) fn bytes(
        &mut self,
        spot: Spot<Part>,
        field: u32,
        chunk: &[u8],
        left: u64,
        findings: &mut Findings,
    ) -> Flowing {
        match (spot.inside, field) {
            // The numbers themselves.
            (Part::Tensor, 4) => {
                if let Some(tensor) = self.tensor() {
                    tensor.content = tensor.content.saturating_add(chunk.len() as u64);
                }
                return ON;
            }
            (Part::Tensor, 18) => {
                if let Some(tensor) = self.tensor() {
                    tensor.values(18, chunk.len() as u64);
                }
                return ON;
            }
            (Part::User, 3) => {
                if let Some(Content::User(reader)) = self.innermost() {
                    reader.feed(chunk);
                }
                return ON;
            }
            _ => self.text.feed(chunk),
        }
        if left > 0 {
            return ON;
        }
        let text = std::mem::take(&mut self.text);
        self.string(spot, field, text, findings)
    }

    /// A text has been read to its end.
    pub(super) fn string(
        &mut self,
        spot: Spot<Part>,
        field: u32,
        text: Text,
        findings: &mut Findings,
    ) -> Flowing {
        let names = match spot.inside {
            Part::Node => field <= 4,
            Part::Signature | Part::Argument | Part::Callee => field == 1,
            Part::Asset => field == 2,
            _ => false,
        };
        if names && (text.is_hidden() || text.is_invalid()) {
            let message = format_args!("a name cannot be read as it is: \"{}\"", text.shown());
            findings.add(&rules::TF_TEXT, self.place(spot.at), message);
        }
        match (spot.inside, field) {
            (Part::Node, _) => {
                let Some(Content::Node(node)) = self.innermost() else {
                    return ON;
                };
                match field {
                    1 => node.name = text,
                    2 => node.operator = text,
                    3 => {
                        // A name that is longer than what is kept cannot be taken apart; such names are none of TensorFlow's.
                        let source = source(&text);
                        node.inputs.extend(source);
                        if node.inputs.len() > MAX_INPUTS {
                            return stop(
                                self.place(spot.at),
                                "a step has more inputs than an inspection follows",
                                findings,
                            );
                        }
                    }
                    _ => {}
                }
            }
            (Part::Attribute, 1) => {
                if let Some(Content::Attribute(attribute)) = self.innermost() {
                    attribute.name = text;
                }
            }
            (Part::Value | Part::List, 2) => {
                if let Some(attribute) = self.attribute() {
                    attribute.text(&text);
                }
            }
            (Part::Value, 9) => {
                if let Some(attribute) = self.attribute() {
                    attribute.left_open();
                }
            }
            (Part::Callee, 1) => {
                let callee = text.fingerprint();
                if let Some(node) = self.node() {
                    node.callees.push(callee);
                    if node.callees.len() > MAX_INPUTS {
                        return stop(
                            self.place(spot.at),
                            "a step names more functions than an inspection follows",
                            findings,
                        );
                    }
                }
            }
            _ => self.declaration(spot, field, &text, findings),
        }
        ON
    }

    /// A text that names something, or is a constant.
    pub(super) fn declaration(&mut self, spot: Spot<Part>, field: u32, text: &Text, findings: &mut Findings) {
        match (spot.inside, field) {
            (Part::Tensor, 8) => {
                let stays = text.whole().is_some_and(|text| flow::stays(text.as_bytes()));
                if let Some(tensor) = self.tensor() {
                    tensor.values(8, 1);
                    tensor.leads |= !stays;
                }
            }
            (Part::Signature, 1) => {
                if let [
                    ..,
                    Scope {
                        content: Content::Function(_, name),
                        ..
                    },
                    _,
                ] = self.scopes.as_mut_slice()
                {
                    *name = text.clone();
                }
            }
            (Part::Argument, 1) => {
                if let [
                    ..,
                    Scope {
                        content: Content::Function(flow, _),
                        ..
                    },
                    _,
                    Scope { field: 2, .. },
                ] = self.scopes.as_mut_slice()
                {
                    flow.argument(text.fingerprint());
                }
            }
            (Part::Collection, 1) if text.whole() == Some(NAMED_FILES) => {
                let message = "files of the model are named in the manner of TensorFlow 1";
                findings.add(&rules::TF_ASSET, self.place(spot.at), message);
            }
            (Part::Asset, 2) => {
                let stays = text
                    .whole()
                    .is_some_and(|name| !name.is_empty() && flow::stays(name.as_bytes()));
                if stays {
                    let name = text.whole().unwrap_or_default();
                    self.ties.beside(&format!("{ASSETS}/{name}"));
                } else {
                    let message = format_args!("a file of the model is named \"{}\"", text.shown());
                    findings.add(&rules::TF_ASSET, self.place(spot.at), message);
                }
            }
            _ => {}
        }
    }
}
