//! A writer for protocol buffers, and small ONNX and TensorFlow models and SentencePiece tokenizers made with it.

/// A message, field by field as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proto(Vec<u8>);

impl Proto {
    /// A message without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number.
    #[must_use]
    pub fn int(mut self, field: u32, value: u64) -> Self {
        self.varint(u64::from(field) << 3);
        self.varint(value);
        self
    }

    /// Adds a byte string.
    #[must_use]
    pub fn bytes(mut self, field: u32, content: &[u8]) -> Self {
        self.varint(u64::from(field) << 3 | 2);
        self.varint(content.len() as u64);
        self.0.extend_from_slice(content);
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, field: u32, content: &str) -> Self {
        self.bytes(field, content.as_bytes())
    }

    /// Adds several texts.
    #[must_use]
    pub fn texts(self, field: u32, contents: &[&str]) -> Self {
        contents
            .iter()
            .fold(self, |proto, content| proto.text(field, content))
    }

    /// Adds a message.
    #[must_use]
    pub fn message(self, field: u32, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    /// Adds several messages.
    #[must_use]
    pub fn messages(self, field: u32, messages: &[Self]) -> Self {
        messages
            .iter()
            .fold(self, |proto, message| proto.message(field, message))
    }

    /// Adds numbers as a packed list.
    #[must_use]
    pub fn packed(self, field: u32, values: &[u64]) -> Self {
        let mut list = Self::new();
        for value in values {
            list.varint(*value);
        }
        self.bytes(field, &list.0)
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The bytes of the message.
    pub fn build(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or(0));
    }
}

/// Parts of ONNX models.
pub mod onnx {
    use super::Proto;

    /// A tensor of numbers that are written as bytes. Type 1 is `FLOAT`, 7 `INT64`.
    pub fn tensor(name: &str, kind: u64, dimensions: &[u64], raw: &[u8]) -> Proto {
        shape(kind, dimensions).text(8, name).bytes(9, raw)
    }

    /// A tensor without name and numbers.
    pub fn shape(kind: u64, dimensions: &[u64]) -> Proto {
        dimensions
            .iter()
            .fold(Proto::new(), |tensor, dimension| tensor.int(1, *dimension))
            .int(2, kind)
    }

    /// A step. No domain is the standard.
    pub fn node(domain: &str, operator: &str, inputs: &[&str], outputs: &[&str]) -> Proto {
        let node = Proto::new().texts(1, inputs).texts(2, outputs).text(4, operator);
        if domain.is_empty() {
            node
        } else {
            node.text(7, domain)
        }
    }

    /// An entry of a list of texts by name.
    pub fn entry(key: &str, value: &str) -> Proto {
        Proto::new().text(1, key).text(2, value)
    }

    /// A value that goes into or comes out of a graph: `FLOAT`, of two dimensions.
    pub fn value(name: &str) -> Proto {
        let dimension = Proto::new().text(2, "n");
        let shape = Proto::new().messages(1, &[dimension.clone(), dimension]);
        let tensor = Proto::new().int(1, 1).message(2, &shape);
        Proto::new()
            .text(1, name)
            .message(2, &Proto::new().message(1, &tensor))
    }

    /// A graph with a name, steps and tensors.
    pub fn graph(nodes: &[Proto], tensors: &[Proto]) -> Proto {
        Proto::new()
            .messages(1, nodes)
            .text(2, "net")
            .messages(5, tensors)
            .message(11, &value("x"))
            .message(12, &value("y"))
    }

    /// A model around a graph, for version 17 of the standard's operators.
    pub fn model(graph: &Proto) -> Proto {
        Proto::new()
            .int(1, 8)
            .text(2, "maker")
            .text(3, "1.0")
            .message(7, graph)
            .message(8, &Proto::new().text(1, "").int(2, 17))
    }

    /// A model with a convolution, a product, a choice between two graphs, and metadata.
    pub fn small() -> Proto {
        let branch = |operator: &str, output: &str| {
            Proto::new()
                .message(1, &node("", operator, &["g"], &[output]))
                .text(2, "branch")
                .message(12, &value(output))
        };
        let graph_of = |name: &str, graph: &Proto| Proto::new().text(1, name).message(6, graph).int(20, 5);
        let kernel = Proto::new()
            .text(1, "kernel_shape")
            .int(8, 1)
            .int(8, 1)
            .int(20, 7);
        let alpha = Proto::new().text(1, "alpha").raw(b"\x15\0\0\x80\x3f").int(20, 1);
        let constant = shape(9, &[]).packed(5, &[1]);
        let constant = Proto::new().text(1, "value").message(5, &constant).int(20, 4);
        let nodes = [
            node("", "Conv", &["x", "w"], &["c"]).message(5, &kernel),
            node("", "Gemm", &["c", "fc"], &["g"]).message(5, &alpha),
            node("", "Constant", &[], &["cond"]).message(5, &constant),
            node("", "If", &["cond"], &["y"])
                .message(5, &graph_of("then_branch", &branch("Identity", "t")))
                .message(5, &graph_of("else_branch", &branch("Neg", "e"))),
        ];
        let tensors = [
            tensor("w", 1, &[2, 1, 1, 1], &[0; 8]),
            shape(1, &[2, 2]).bytes(4, &[0; 16]).text(8, "fc"),
        ];
        model(&graph(&nodes, &tensors)).message(14, &entry("task", "a test\nof two lines"))
    }
}

/// Parts of TensorFlow graphs.
pub mod tensorflow {
    use super::Proto;

    /// A step.
    pub fn node(name: &str, operator: &str, inputs: &[&str]) -> Proto {
        Proto::new().text(1, name).text(2, operator).texts(3, inputs)
    }

    /// A parameter of a step. The value is an `AttrValue`.
    pub fn parameter(name: &str, value: &Proto) -> Proto {
        Proto::new().text(1, name).message(2, value)
    }

    /// A constant with a `TensorProto`.
    pub fn constant(name: &str, tensor: &Proto) -> Proto {
        node(name, "Const", &[]).message(5, &parameter("value", &Proto::new().message(8, tensor)))
    }

    /// A constant text.
    pub fn text(name: &str, content: &str) -> Proto {
        constant(
            name,
            &Proto::new().int(1, 7).message(2, &Proto::new()).text(8, content),
        )
    }

    /// A call of a function.
    pub fn call(name: &str, function: &str, inputs: &[&str]) -> Proto {
        let function = Proto::new().message(10, &Proto::new().text(1, function));
        node(name, "StatefulPartitionedCall", inputs).message(5, &parameter("f", &function))
    }

    /// A function with arguments and steps.
    pub fn function(name: &str, arguments: &[&str], nodes: &[Proto]) -> Proto {
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| Proto::new().text(1, argument).int(3, 7))
            .collect();
        Proto::new()
            .message(1, &Proto::new().text(1, name).messages(2, &arguments))
            .messages(3, nodes)
    }

    /// A graph with its functions.
    pub fn graph(nodes: &[Proto], functions: &[Proto]) -> Proto {
        let graph = Proto::new().messages(1, nodes);
        let graph = if functions.is_empty() {
            graph
        } else {
            graph.message(2, &Proto::new().messages(1, functions))
        };
        graph.message(4, &Proto::new().int(1, 1882))
    }

    /// A `SavedModel` around a graph.
    pub fn saved_model(graph: &Proto) -> Proto {
        let information = Proto::new().texts(4, &["serve"]).text(5, "2.21.0");
        let meta = Proto::new().message(1, &information).message(2, graph);
        Proto::new().int(1, 1).message(2, &meta)
    }

    /// A product with a constant.
    pub fn small() -> Vec<Proto> {
        let shape = Proto::new()
            .message(2, &Proto::new().int(1, 2))
            .message(2, &Proto::new().int(1, 2));
        let tensor = Proto::new().int(1, 1).message(2, &shape).bytes(4, &[0; 16]);
        vec![
            node("x", "Placeholder", &[]),
            constant("w", &tensor),
            node("y", "MatMul", &["x", "w:0"]),
        ]
    }

    /// A function that saves as TensorFlow writes it.
    pub fn saver(name: &str) -> Proto {
        let steps = [
            node("match", "StaticRegexFullMatch", &["file_prefix"]),
            text("cloud", ".part"),
            text("local", "_temp/part"),
            node(
                "end",
                "Select",
                &["match:output:0", "cloud:output:0", "local:output:0"],
            ),
            node("join", "StringJoin", &["file_prefix", "end:output:0"]),
            node(
                "shard",
                "ShardedFilename",
                &["join:output:0", "zero:output:0", "one:output:0"],
            ),
            text("names", "_CHECKPOINTABLE_OBJECT_GRAPH"),
            node(
                "save",
                "SaveV2",
                &["shard:filename:0", "names:output:0", "names:output:0"],
            ),
            node("list", "Pack", &["shard:filename:0", "^save"]),
            node("merge", "MergeV2Checkpoints", &["list:output:0", "file_prefix"]),
        ];
        function(name, &["file_prefix"], &steps)
    }
}

/// Parts of SentencePiece tokenizers.
pub mod sentencepiece {
    use super::Proto;

    /// A piece with its score and kind: 1 is ordinary, 2 stands for what is unknown, 3 is for control, 6 a byte.
    pub fn piece(text: &str, score: f32, kind: u64) -> Proto {
        Proto::new()
            .text(1, text)
            .raw(b"\x15")
            .raw(&score.to_le_bytes())
            .int(3, kind)
    }

    /// What the tokenizer does to characters first.
    pub fn normalizer(charsmap: &[u8]) -> Proto {
        Proto::new()
            .text(1, "nmt_nfkc")
            .bytes(2, charsmap)
            .int(3, 1)
            .text(6, "")
    }

    /// A table of characters with an index of one block that leads nowhere, and one replacement.
    pub fn charsmap() -> Vec<u8> {
        [&1024_u32.to_le_bytes()[..], &[0; 1024], b"a\0"].concat()
    }

    /// A tokenizer around pieces.
    pub fn model(pieces: &[Proto], normalizer: &Proto) -> Proto {
        let trainer = Proto::new()
            .text(1, "/home/somebody/texts.txt")
            .text(2, "m")
            .int(3, 2)
            .int(4, 6)
            .raw(b"\x55\xb9\xfc\x7f\x3f")
            .int(43, u64::MAX)
            .text(44, " \u{2047} ");
        Proto::new()
            .messages(1, pieces)
            .message(2, &trainer)
            .message(3, normalizer)
    }

    /// An ordinary tokenizer.
    pub fn small() -> Proto {
        let pieces = [
            piece("<unk>", 0.0, 2),
            piece("<s>", 0.0, 3),
            piece("<0x00>", 0.0, 6),
            piece("\u{2581}the", -1.5, 1),
            piece("\u{202e}", -9.0, 4),
            Proto::new().text(1, "s").raw(b"\x15\0\0\0\xc0"),
        ];
        model(&pieces, &normalizer(&charsmap()))
    }
}
