//! NumPy's `.npy`: a strict header, then exactly the bytes that it promises, or a pickle for arrays of Python objects.

mod literal;

use holdfast_contract::report::ModelFacts;

use crate::finding::{Findings, Place};
use crate::inspector::{Found, Inspector};
use crate::pickle::{Context, Dtype, Pickle};
use crate::rules;
use crate::text;
use literal::Literal;

/// The longest header. NumPy itself refuses more than 10 000 characters unless it is told to trust the file.
const MAX_HEADER_BYTES: u32 = 64 << 10;
/// The most dimensions that NumPy allows.
const MAX_DIMENSIONS: usize = 64;
/// How deep element types may contain others.
const MAX_DEPTH: usize = 8;

/// The element type of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Element {
    bytes: u64,
    objects: bool,
}

#[derive(Debug)]
enum Stage {
    /// Signature, version and length of the header.
    Preamble,
    /// The header, of so many bytes.
    Header(usize),
    /// So many bytes of numbers are to come.
    Data(u64),
    /// The elements are a pickle.
    Objects(Box<Pickle>),
    /// Something was found after which the rest means nothing.
    Stopped,
}

/// The inspector for `.npy`.
#[derive(Debug)]
pub struct Npy {
    /// Whether it is a file of its own rather than a member of an archive.
    alone: bool,
    at: u64,
    held: Vec<u8>,
    stage: Stage,
    elements: u64,
    kind: Option<String>,
    findings: Findings,
}

impl Default for Npy {
    fn default() -> Self {
        Self {
            alone: true,
            at: 0,
            held: Vec::new(),
            stage: Stage::Preamble,
            elements: 0,
            kind: None,
            findings: Findings::default(),
        }
    }
}

impl Npy {
    /// An inspector for a member of an archive, whose container says what to make of it.
    pub fn member() -> Self {
        Self {
            alone: false,
            ..Self::default()
        }
    }

    /// Collects `length` bytes; returns how many were taken and whether they are all there.
    fn hold(&mut self, bytes: &[u8], length: usize) -> (usize, bool) {
        let taken = length.saturating_sub(self.held.len()).min(bytes.len());
        self.held.extend(bytes.iter().take(taken));
        (taken, self.held.len() >= length)
    }

    fn preamble(&mut self, bytes: &[u8]) -> usize {
        // The length has two bytes in version 1 and four later.
        let length = match self.held.get(6) {
            Some(2 | 3) => 12,
            Some(_) => 10,
            None => 7,
        };
        let (taken, complete) = self.hold(bytes, length);
        if !complete || length == 7 {
            return taken;
        }
        let declared = match *self.held.as_slice() {
            [_, _, _, _, _, _, 1, 0, low, high] => u32::from(u16::from_le_bytes([low, high])),
            [_, _, _, _, _, _, 2 | 3, 0, a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            _ => {
                self.header_wrong(6, "the version of the format is unknown");
                return taken;
            }
        };
        if declared > MAX_HEADER_BYTES {
            self.header_wrong(8, &format!("the header claims {declared} bytes"));
        } else {
            self.held.clear();
            self.stage = Stage::Header(usize::try_from(declared).unwrap_or(0));
        }
        taken
    }

    fn header(&mut self, bytes: &[u8], length: usize) -> usize {
        let (taken, complete) = self.hold(bytes, length);
        if complete {
            let header = std::mem::take(&mut self.held);
            let begins = self.at + taken as u64 - length as u64;
            match literal::parse(&header).and_then(|literal| describe(&literal)) {
                Ok((element, shape, kind)) => {
                    self.judge(begins, begins + length as u64, element, &shape, kind);
                }
                Err(reason) => self.header_wrong(begins, reason),
            }
        }
        taken
    }

    fn judge(
        &mut self,
        begins: u64,
        ends: u64,
        element: Result<Element, String>,
        shape: &[u64],
        kind: String,
    ) {
        let element = match element {
            Ok(element) => element,
            Err(code) => {
                let message = format!("the element type is {}", text::shown(&code));
                self.findings.add(&rules::NPY_DTYPE, Place::at(begins), message);
                self.stage = Stage::Stopped;
                return;
            }
        };
        let product = |start: u64| {
            shape
                .iter()
                .try_fold(start, |product, dimension| product.checked_mul(*dimension))
        };
        let (Some(elements), Some(bytes)) = (product(1), product(element.bytes)) else {
            let message = "the product of the dimensions is too large";
            self.findings.add(&rules::NPY_SHAPE, Place::at(begins), message);
            self.stage = Stage::Stopped;
            return;
        };
        self.elements = elements;
        self.kind = Some(kind);
        self.stage = if element.objects {
            let message = format_args!("{elements} objects are stored as a pickle");
            self.findings.add(&rules::NPY_OBJECTS, Place::at(begins), message);
            Stage::Objects(Box::new(Pickle::beginning_at(Context::Array, ends)))
        } else {
            Stage::Data(bytes)
        };
    }

    fn header_wrong(&mut self, at: u64, message: &str) {
        self.findings.add(&rules::NPY_HEADER, Place::at(at), message);
        self.stage = Stage::Stopped;
    }

    fn data(&mut self, bytes: &[u8], left: u64) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        if taken == 0 {
            let message = "bytes follow the last element";
            self.findings
                .add(&rules::NPY_TRAILING, Place::at(self.at), message);
            self.stage = Stage::Stopped;
        } else {
            self.stage = Stage::Data(left - taken as u64);
        }
        taken
    }
}

impl Inspector for Npy {
    fn feed(&mut self, _at: u64, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = match &mut self.stage {
                Stage::Preamble => self.preamble(rest),
                Stage::Header(length) => {
                    let length = *length;
                    self.header(rest, length)
                }
                Stage::Data(left) => {
                    let left = *left;
                    self.data(rest, left)
                }
                Stage::Objects(pickle) => {
                    pickle.feed(self.at, rest);
                    rest.len()
                }
                Stage::Stopped => rest.len(),
            };
            self.at += taken as u64;
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    fn finish(mut self: Box<Self>, size: u64) -> Found {
        let missing = match self.stage {
            Stage::Preamble | Stage::Header(_) => Some("the file ends within its header".to_owned()),
            Stage::Data(0) | Stage::Stopped => None,
            Stage::Data(left) => Some(format!("{left} bytes of the array are missing")),
            Stage::Objects(pickle) => {
                let (findings, _) = pickle.conclude(size);
                self.findings.append(findings);
                None
            }
        };
        if let Some(message) = missing {
            self.findings
                .add(&rules::NPY_TRUNCATED, Place::at(size.min(self.at)), message);
        }
        if self.alone && !self.findings.refuse() {
            let message = format_args!(
                "{} elements of type {}",
                self.elements,
                self.kind.as_deref().unwrap_or("none")
            );
            self.findings.add(&rules::NPY_ADMITTED, Place::whole(), message);
        }
        Found {
            findings: self.findings,
            facts: Some(ModelFacts {
                tensors: 1,
                parameters: self.elements,
                tensor_type: self.kind.clone(),
                ..ModelFacts::default()
            }),
            ..Found::default()
        }
    }
}

type Described = (Result<Element, String>, Vec<u64>, String);

/// Element type, shape and name of the type; the order does not change the number of bytes.
fn describe(header: &Literal) -> Result<Described, &'static str> {
    let Literal::Dict(entries) = header else {
        return Err("the header is no dictionary");
    };
    let (mut descr, mut order, mut shape) = (None, None, None);
    for (key, value) in entries {
        let place = match key.as_slice() {
            b"descr" => &mut descr,
            b"fortran_order" => &mut order,
            b"shape" => &mut shape,
            _ => return Err("the header has a key that no array has"),
        };
        if place.replace(value).is_some() {
            return Err("a key appears twice in the header");
        }
    }
    let (Some(descr), Some(Literal::Bool), Some(Literal::Tuple(shape))) = (descr, order, shape) else {
        return Err("element type, order or shape is missing or of the wrong kind");
    };
    let shape: Option<Vec<u64>> = shape.iter().map(Literal::number).collect();
    let shape = shape
        .filter(|shape| shape.len() <= MAX_DIMENSIONS)
        .ok_or("the shape is none")?;
    let kind = match descr {
        Literal::Text(code) => text::shown_bytes(code),
        _ => "a structure".to_owned(),
    };
    Ok((element(descr, MAX_DEPTH), shape, kind))
}

/// An element type: a code, or a list of fields. The error is what it is instead.
fn element(descr: &Literal, depth: usize) -> Result<Element, String> {
    let none = || "no list of fields".to_owned();
    match descr {
        Literal::Text(code) => match Dtype::parse(code) {
            Some(Dtype {
                bytes: Some(bytes),
                objects,
                ..
            }) => Ok(Element { bytes, objects }),
            _ => Err(text::shown_bytes(code)),
        },
        Literal::Tuple(parts) if depth > 0 => match parts.as_slice() {
            [base, shape] => repeated(element(base, depth - 1)?, shape).ok_or_else(none),
            _ => Err(none()),
        },
        Literal::List(fields) if depth > 0 => {
            let mut sum = Element {
                bytes: 0,
                objects: false,
            };
            for field in fields {
                let Literal::Tuple(parts) = field else {
                    return Err(none());
                };
                let field = match parts.as_slice() {
                    [name, kind] if name.is_name() => element(kind, depth - 1)?,
                    [name, kind, shape] if name.is_name() => {
                        repeated(element(kind, depth - 1)?, shape).ok_or_else(none)?
                    }
                    _ => return Err(none()),
                };
                sum.bytes = sum.bytes.checked_add(field.bytes).ok_or_else(none)?;
                sum.objects |= field.objects;
            }
            Ok(sum)
        }
        _ => Err(none()),
    }
}

fn repeated(element: Element, shape: &Literal) -> Option<Element> {
    let bytes = match shape {
        Literal::Tuple(shape) => shape.iter().try_fold(element.bytes, |product, dimension| {
            product.checked_mul(dimension.number()?)
        }),
        single => element.bytes.checked_mul(single.number()?),
    };
    Some(Element {
        bytes: bytes?,
        ..element
    })
}
