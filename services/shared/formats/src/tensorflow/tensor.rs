//! A constant: whether its data is what its shape and type need. After the comments on `TensorProto` in `tensor.proto`.

/// What a tensor says about itself.
#[derive(Debug, Default)]
pub struct Tensor {
    /// Its element type.
    pub kind: u64,
    elements: Option<u64>,
    /// The size of the dimension that is being read.
    size: Option<u64>,
    impossible: bool,
    /// Bytes of `tensor_content`.
    pub content: u64,
    /// How many values the typed fields have, and in which field.
    values: Option<(u32, u64)>,
    mixed: bool,
    /// Whether one of its texts, as a piece of a file name, leads somewhere else.
    pub leads: bool,
}

/// Name, bytes of an element (0 where they are not fixed), typed field, and values that an element has there.
fn type_of(kind: u64) -> Option<(&'static str, u64, u32, u64)> {
    Some(match kind {
        1 => ("FLOAT", 4, 5, 1),
        2 => ("DOUBLE", 8, 6, 1),
        3 => ("INT32", 4, 7, 1),
        4 => ("UINT8", 1, 7, 1),
        5 => ("INT16", 2, 7, 1),
        6 => ("INT8", 1, 7, 1),
        7 => ("STRING", 0, 8, 1),
        8 => ("COMPLEX64", 8, 9, 2),
        9 => ("INT64", 8, 10, 1),
        10 => ("BOOL", 1, 11, 1),
        11 => ("QINT8", 1, 7, 1),
        12 => ("QUINT8", 1, 7, 1),
        13 => ("QINT32", 4, 7, 1),
        14 => ("BFLOAT16", 2, 13, 1),
        15 => ("QINT16", 2, 7, 1),
        16 => ("QUINT16", 2, 7, 1),
        17 => ("UINT16", 2, 7, 1),
        18 => ("COMPLEX128", 16, 12, 2),
        19 => ("HALF", 2, 13, 1),
        20 => ("RESOURCE", 0, 14, 1),
        21 => ("VARIANT", 0, 15, 1),
        22 => ("UINT32", 4, 16, 1),
        23 => ("UINT64", 8, 17, 1),
        24..=28 => ("FLOAT8", 1, 18, 1),
        29..=33 => ("INT4", 1, 7, 1),
        _ => return None,
    })
}

impl Tensor {
    /// Takes the size of a dimension.
    pub fn size(&mut self, value: u64) {
        self.size = Some(value);
    }

    /// A dimension has ended. One of size 0 is written without its size.
    pub fn dimension(&mut self) {
        let value = self.size.take().unwrap_or(0);
        match self.elements.unwrap_or(1).checked_mul(value) {
            Some(elements) if i64::try_from(value).is_ok() => self.elements = Some(elements),
            _ => self.impossible = true,
        }
    }

    /// The shape is said to be unknown.
    pub fn unknown(&mut self) {
        self.impossible = true;
    }

    /// Takes so many values of a typed field.
    pub fn values(&mut self, field: u32, count: u64) {
        let before = self.values.get_or_insert((field, 0));
        if before.0 == field {
            before.1 = before.1.saturating_add(count);
        } else {
            self.mixed = true;
        }
    }

    /// How many elements it has.
    pub fn elements(&self) -> u64 {
        self.elements.unwrap_or(1)
    }

    /// The name of its type.
    pub fn name(&self) -> Option<&'static str> {
        type_of(self.kind).map(|kind| kind.0)
    }

    /// How many bytes its numbers take in a file of variables; `None` where they are texts.
    ///
    /// # Errors
    ///
    /// What is the matter with its shape or type.
    pub fn stored_bytes(&self) -> Result<Option<u64>, String> {
        // What is neither numbers nor texts stands for objects of the program that wrote it.
        let bytes = match type_of(self.kind) {
            Some(("STRING", ..)) => None,
            Some((_, bytes @ 1.., ..)) => Some(bytes),
            _ => return Err(format!("the element type is {}", self.kind)),
        };
        let total = self.elements().checked_mul(bytes.unwrap_or(1));
        match total.filter(|_| !self.impossible) {
            Some(total) => Ok(bytes.map(|_| total)),
            None => Err("the shape is impossible or unknown".to_owned()),
        }
    }

    /// What is the matter with it.
    pub fn flaw(&self) -> Option<String> {
        let Some((name, bytes, field, each)) = type_of(self.kind) else {
            // Early versions leave tensors without anything where none is meant.
            let nothing = self.kind == 0 && self.content == 0 && self.values.is_none();
            return (!nothing).then(|| format!("the element type is {}", self.kind));
        };
        let elements = self.elements();
        let (false, Some(total)) = (self.impossible, elements.checked_mul(bytes.max(1))) else {
            return Some("the shape is impossible or unknown".to_owned());
        };
        if self.mixed || (self.content > 0 && self.values.is_some()) {
            return Some("there is data in more than one field".to_owned());
        }
        if self.content > 0 {
            return (bytes == 0 || self.content != total).then(|| {
                format!(
                    "{elements} elements of type {name} take {total} bytes, it has {}",
                    self.content
                )
            });
        }
        match self.values {
            Some((found, _)) if found != field => {
                Some(format!("elements of type {name} stand in the field {found}"))
            }
            // Fewer are common: the last is repeated.
            Some((_, count)) if field != 18 && count > elements.saturating_mul(each) => Some(format!(
                "its shape has {elements} elements, it has {count} values"
            )),
            _ => None,
        }
    }
}
