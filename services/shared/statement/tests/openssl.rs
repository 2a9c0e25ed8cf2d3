//! An envelope is verified by a program that shares no code with this crate: `openssl pkeyutl`, as
//! `docs/statements/scan-v1.md` tells an auditor to do it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_contract::Digest;
use holdfast_contract::report::{Report, Verdict};
use holdfast_statement::{KEY_NAME, StatementKey, sign};

/// DER of an Ed25519 `SubjectPublicKeyInfo` up to the key (RFC 8410).
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

fn accepts(openssl: &Path, dir: &Path, payload: &[u8], signature: &[u8], vkey: &str) -> bool {
    let key = STANDARD.decode(vkey.splitn(3, '+').nth(2).unwrap()).unwrap();
    let payload_type = "application/vnd.in-toto+json";
    let mut pae = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    pae.extend_from_slice(payload);
    std::fs::write(dir.join("pae"), pae).unwrap();
    std::fs::write(dir.join("sig"), signature).unwrap();
    std::fs::write(dir.join("key.der"), [&SPKI, &key[1..]].concat()).unwrap();
    let output = Command::new(openssl)
        .current_dir(dir)
        .args([
            "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", "key.der",
        ])
        .args(["-in", "pae", "-sigfile", "sig"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).contains("Signature Verified Successfully")
}

#[test]
fn openssl_verifies_an_envelope_and_refuses_a_changed_one() {
    let Some(openssl) = holdfast_tests::tools::program("openssl") else {
        return;
    };
    let report = Report {
        sha256: Some(Digest::from_bytes([1; 32])),
        size_bytes: 1,
        format: "gguf".into(),
        verdict: Verdict::Admit,
        conditions: vec![],
        findings: vec![],
        findings_omitted: 0,
        model: None,
        converted_from: None,
        inspector: "0.1.0".into(),
        rules: None,
    };
    let key = StatementKey::from_seed(KEY_NAME, &[9; 32]).unwrap();
    let text = sign(&report, "m.gguf", &key, "2026-11-20T10:00:00Z".parse().unwrap())
        .unwrap()
        .to_text();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut payload = STANDARD.decode(json["payload"].as_str().unwrap()).unwrap();
    let signature = STANDARD
        .decode(json["signatures"][0]["sig"].as_str().unwrap())
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let vkey = key.vkey().to_string();
    assert!(accepts(&openssl, dir.path(), &payload, &signature, &vkey));
    payload[0] ^= 1;
    assert!(!accepts(&openssl, dir.path(), &payload, &signature, &vkey));
}
