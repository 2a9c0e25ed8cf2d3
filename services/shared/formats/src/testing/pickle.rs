//! Writes pickles opcode by opcode, sensible or not.

/// A pickle that holds nothing but a tuple with this number.
pub fn tuple(number: i32) -> Vec<u8> {
    Assembler::protocol(2).ints(&[number]).stop()
}

/// A pickle that calls `os.system` with `true`.
pub fn call() -> Vec<u8> {
    Assembler::protocol(2)
        .global("os", "system")
        .text("true")
        .raw(b"\x85R")
        .stop()
}

/// A pickle that is being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assembler {
    bytes: Vec<u8>,
}

impl Assembler {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A pickle that begins with this protocol.
    pub fn protocol(version: u8) -> Self {
        Self::new().raw(&[0x80, version])
    }

    /// Appends any bytes.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// `GLOBAL`.
    #[must_use]
    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    /// `STACK_GLOBAL` of two texts.
    #[must_use]
    pub fn stack_global(self, module: &str, name: &str) -> Self {
        self.text(module).text(name).raw(b"\x93")
    }

    /// `BINUNICODE`.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.raw(b"X").length(text.len()).raw(text.as_bytes())
    }

    /// `BINBYTES`.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        self.raw(b"B").length(bytes.len()).raw(bytes)
    }

    /// `BININT`.
    #[must_use]
    pub fn int(self, number: i32) -> Self {
        self.raw(b"J").raw(&number.to_le_bytes())
    }

    /// A tuple of numbers.
    #[must_use]
    pub fn ints(mut self, numbers: &[i32]) -> Self {
        self = self.raw(b"(");
        for number in numbers {
            self = self.int(*number);
        }
        self.raw(b"t")
    }

    /// `BINPUT`.
    #[must_use]
    pub fn put(self, index: u8) -> Self {
        self.raw(&[b'q', index])
    }

    /// `BINGET`.
    #[must_use]
    pub fn get(self, index: u8) -> Self {
        self.raw(&[b'h', index])
    }

    /// A reference to a storage, as PyTorch writes it.
    #[must_use]
    pub fn storage(self, class: &str, key: &str, elements: i32) -> Self {
        self.raw(b"(")
            .text("storage")
            .global("torch", class)
            .text(key)
            .text("cpu")
            .int(elements)
            .raw(b"tQ")
    }

    /// A call of `_rebuild_tensor_v2` with a storage of its own.
    #[must_use]
    pub fn tensor(self, class: &str, key: &str, shape: &[i32]) -> Self {
        let mut stride = vec![1; shape.len()];
        for at in (1..shape.len()).rev() {
            if let (Some(next), Some(length)) = (stride.get(at).copied(), shape.get(at))
                && let Some(place) = stride.get_mut(at - 1)
            {
                *place = next * length;
            }
        }
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"(")
            .storage(class, key, shape.iter().product())
            .int(0)
            .ints(shape)
            .ints(&stride)
            .raw(b"\x89")
            .global("collections", "OrderedDict")
            .raw(b")RtR")
    }

    /// A `state_dict` with tensors of 32-bit numbers.
    #[must_use]
    pub fn state_dict(mut self, tensors: &[(&str, &[i32])]) -> Self {
        self = self.global("collections", "OrderedDict").raw(b")R(");
        for (index, (name, shape)) in tensors.iter().enumerate() {
            self = self.text(name).tensor("FloatStorage", &index.to_string(), shape);
        }
        self.raw(b"u")
    }

    /// The state that joblib gives to the stand-in for an array of 64-bit numbers.
    #[must_use]
    pub fn joblib_array(self, shape: &[i32], aligned: bool) -> Self {
        let wrapper = self
            .stack_global("joblib.numpy_pickle", "NumpyArrayWrapper")
            .raw(b")\x81}(")
            .text("subclass")
            .stack_global("numpy", "ndarray")
            .text("shape")
            .ints(shape)
            .text("order")
            .text("C")
            .text("dtype")
            .dtype("f8")
            .text("allow_mmap")
            .raw(b"\x88");
        let wrapper = if aligned {
            wrapper.text("numpy_array_alignment_bytes").int(16)
        } else {
            wrapper
        };
        wrapper.raw(b"ub")
    }

    /// A `numpy.dtype` with its state.
    #[must_use]
    pub fn dtype(self, code: &str) -> Self {
        let order = if code.starts_with('O') { "|" } else { "<" };
        let flags = if code.starts_with('O') { 63 } else { 0 };
        self.stack_global("numpy", "dtype")
            .text(code)
            .raw(b"\x89\x88\x87R(")
            .int(3)
            .text(order)
            .raw(b"NNN")
            .int(-1)
            .int(-1)
            .int(flags)
            .raw(b"tb")
    }

    /// `STOP`, and the bytes.
    pub fn stop(self) -> Vec<u8> {
        self.raw(b".").bytes
    }

    /// The bytes without `STOP`.
    pub fn cut(self) -> Vec<u8> {
        self.bytes
    }

    fn length(self, length: usize) -> Self {
        self.raw(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes())
    }
}

/// The five pickles of PyTorch's old format around an object, and its storages with their keys and counts of elements.
pub fn legacy(object: &[u8], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let mut keys = Assembler::protocol(2).raw(b"](");
    for (key, _, _) in storages {
        keys = keys.text(key);
    }
    let mut file = Assembler::protocol(2)
        .raw(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19")
        .stop();
    file.extend(Assembler::protocol(2).int(1001).stop());
    file.extend(Assembler::protocol(2).raw(b"}").stop());
    file.extend_from_slice(object);
    file.extend(keys.raw(b"e").stop());
    for (_, count, bytes) in storages {
        file.extend(count.to_le_bytes());
        file.extend_from_slice(bytes);
    }
    file
}
