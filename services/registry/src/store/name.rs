//! The name of a model: made from the file's name, a valid OCI reference name, unique in the store.

use holdfast_contract::limits::MAX_NAME_BYTES;

/// Makes a name from `file_name` that `is_taken` does not know yet.
///
/// The name has ASCII letters and digits with single `.`, `-` or `_` between them (image-spec's grammar of reference names,
/// without the separators that shells and tools read otherwise). The endings `.gguf` and `.safetensors` go: the format is
/// known. A name that is taken gets `-2`, `-3` and so on.
pub fn for_file(file_name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let base = sanitised(without_ending(file_name));
    if !is_taken(&base) {
        return base;
    }
    let mut number = 2_u64;
    loop {
        let suffix = format!("-{number}");
        let name = format!("{}{suffix}", cut(&base, MAX_NAME_BYTES - suffix.len()));
        if !is_taken(&name) {
            return name;
        }
        number += 1;
    }
}

fn without_ending(file_name: &str) -> &str {
    for ending in [".gguf", ".safetensors"] {
        if let Some(at) = file_name.len().checked_sub(ending.len())
            && file_name.is_char_boundary(at)
            && file_name[at..].eq_ignore_ascii_case(ending)
        {
            return &file_name[..at];
        }
    }
    file_name
}

fn sanitised(text: &str) -> String {
    let mut name = String::new();
    let mut separator = None;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            if let Some(separator) = separator.take()
                && !name.is_empty()
            {
                name.push(separator);
            }
            name.push(c);
        } else {
            separator = separator.or(Some(if matches!(c, '.' | '_') { c } else { '-' }));
        }
    }
    let name = cut(&name, MAX_NAME_BYTES);
    if name.is_empty() {
        "model".to_owned()
    } else {
        name.to_owned()
    }
}

/// The longest beginning of at most `max` bytes that does not end in a separator.
fn cut(name: &str, max: usize) -> &str {
    // INVARIANT: `name` is ASCII, so that every index is a character boundary.
    name.get(..max).unwrap_or(name).trim_end_matches(['.', '-', '_'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(file_name: &str) -> String {
        for_file(file_name, |_| false)
    }

    #[test]
    fn keeps_what_people_know_a_model_by() {
        assert_eq!(
            free("TinyLlama-1.1B-Chat-v1.0.Q4_K_M.gguf"),
            "TinyLlama-1.1B-Chat-v1.0.Q4_K_M"
        );
        assert_eq!(free("model.SafeTensors"), "model");
        assert_eq!(free("guide"), "guide");
    }

    #[test]
    fn leaves_nothing_that_a_shell_a_path_or_a_reference_reads_otherwise() {
        assert_eq!(free("../../etc/passwd"), "etc-passwd");
        assert_eq!(free("a b\u{202e}c;rm -rf.gguf"), "a-b-c-rm-rf");
        assert_eq!(free("a__b--c..d"), "a_b-c.d");
        assert_eq!(free("--x--"), "x");
        assert_eq!(free("模型.gguf"), "model");
        assert_eq!(free(""), "model");
        assert_eq!(free(".gguf"), "model");
    }

    #[test]
    fn is_bounded() {
        assert_eq!(free(&"x".repeat(1000)).len(), MAX_NAME_BYTES);
        let long = "x".repeat(MAX_NAME_BYTES);
        let second = for_file(&long, |name| name == long);
        assert_eq!(second.len(), MAX_NAME_BYTES);
        assert!(second.ends_with("x-2"));
        assert_eq!(
            free(&format!("{}-y", "x".repeat(MAX_NAME_BYTES - 1))),
            "x".repeat(MAX_NAME_BYTES - 1)
        );
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        assert_eq!(for_file("a.gguf", |name| matches!(name, "a" | "a-2")), "a-3");
    }
}
