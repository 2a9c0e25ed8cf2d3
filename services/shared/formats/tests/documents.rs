//! The documentation of findings is the table in the code.

#[test]
fn the_page_of_findings_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/findings.md");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == holdfast_formats::rules::page(),
        "docs/findings.md differs from the table: run \
         `cargo run --release -p holdfast-formats --example findings > docs/findings.md`"
    );
}
