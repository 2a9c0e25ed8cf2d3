//! Files to hand in: good ones, broken ones, and ones that are something else.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use holdfast_formats::testing::{Assembler, GgufBuilder, zip};
use serde_json::Value;
use sha2::Digest as _;

/// The guide model as it is committed.
pub fn guide() -> PathBuf {
    holdfast_tests::source().join("services/guide-model/guide.gguf")
}

/// Writes a file.
pub fn write(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A well-formed model that no engine could run. Each `seed` gives another file.
pub fn small(seed: u32) -> Vec<u8> {
    GgufBuilder::llama()
        .set(
            "general.name",
            holdfast_formats::testing::Value::text(&format!("Small {seed}")),
        )
        .build()
        .bytes
}

/// A well-formed model of about this size in a file of its own. It takes hardly any room on disk: the weights are zeros that were
/// never written. Each `seed` gives another file.
pub fn large(directory: &Path, name: &str, bytes: u64, seed: u32) -> PathBuf {
    let seed = holdfast_formats::testing::Value::U32(seed);
    let header = GgufBuilder::new()
        .key(
            "general.architecture",
            holdfast_formats::testing::Value::text("llama"),
        )
        .key("test.seed", seed)
        .tensor("token_embd.weight", &[bytes / 4], 0, 0)
        .build()
        .bytes;
    let path = directory.join(name);
    let mut file = File::create(&path).unwrap();
    file.write_all(&header).unwrap();
    file.set_len(header.len() as u64 + bytes / 4 * 4).unwrap();
    path
}

/// A PyTorch checkpoint with a tensor of so many 32-bit numbers. Each `seed` gives another file.
pub fn checkpoint(elements: i32, seed: u8) -> Vec<u8> {
    let pickle = Assembler::protocol(2).state_dict(&[("layer.weight", &[elements])]);
    let numbers = vec![seed; 4 * usize::try_from(elements).unwrap()];
    let pickle = pickle.stop();
    let members: [(&str, &[u8]); 3] = [
        ("m/data.pkl", &pickle),
        ("m/data/0", &numbers),
        ("m/version", b"3\n"),
    ];
    zip(&members, b"")
}

/// A pickle that runs `id` when it is loaded.
pub fn pickle() -> Vec<u8> {
    b"\x80\x02cposix\nsystem\nq\x00X\x02\x00\x00\x00idq\x01\x85q\x02Rq\x03.".to_vec()
}

/// The beginning of a program: of this test.
pub fn program() -> Vec<u8> {
    let bytes = std::fs::read("/proc/self/exe").unwrap();
    bytes[..bytes.len().min(64 << 10)].to_vec()
}

/// The digest of some bytes as reports write it.
pub fn digest(bytes: &[u8]) -> String {
    let digest: [u8; 32] = sha2::Sha256::digest(bytes).into();
    holdfast_contract::Digest::from_bytes(digest).to_string()
}

/// The ids of a report's findings.
pub fn ids(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|one| one["id"].as_str().unwrap()).collect()
}
