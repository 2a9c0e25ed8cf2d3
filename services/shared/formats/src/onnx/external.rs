//! Where a tensor's bytes are said to be when they are not in the file.
//!
//! The entries are those of the ONNX documentation, "External Data": `location`, `offset`, `length`, `checksum`, and `basepath`, which its
//! Python package may leave behind. Loaders join the location to the model's directory and open what comes out of it.

use std::collections::BTreeSet;

use crate::protobuf::Text;

/// What the entries of a tensor say.
#[derive(Debug, Default)]
pub struct External {
    /// How many entries there are.
    pub entries: u64,
    /// The path, where it is one to a file beside the model.
    pub location: String,
    /// Where the bytes begin there.
    pub offset: Option<u64>,
    /// How many they are.
    pub length: Option<u64>,
    /// Their keys.
    seen: BTreeSet<&'static str>,
}

/// What is the matter with an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Concern {
    /// The location leads elsewhere, and how.
    Path(&'static str),
    /// The entry cannot be used, and why.
    Entry(&'static str),
}

impl External {
    /// Takes an entry.
    pub fn entry(&mut self, key: &Text, value: &Text) -> Option<Concern> {
        self.entries += 1;
        let number = || {
            let digits = |text: &&str| text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
            value.whole().filter(digits)?.parse::<u64>().ok()
        };
        let (name, wrong) = match key.whole() {
            Some("location") => {
                let wrong = leads_out(value);
                if wrong.is_none() {
                    value.whole().unwrap_or_default().clone_into(&mut self.location);
                }
                ("location", wrong.map(Concern::Path))
            }
            Some("offset") => {
                self.offset = number();
                let wrong = Concern::Entry("its offset is not a number");
                ("offset", self.offset.is_none().then_some(wrong))
            }
            Some("length") => {
                self.length = number();
                let wrong = Concern::Entry("its length is not a number");
                ("length", self.length.is_none().then_some(wrong))
            }
            Some("checksum") => ("checksum", None),
            // Kept by the library for itself: a directory that the location is joined to.
            Some("basepath") if value.is_empty() => return None,
            _ => return Some(Concern::Entry("it has an entry that nobody knows")),
        };
        let again = !self.seen.insert(name);
        wrong.or(again.then_some(Concern::Entry("it has the same entry twice")))
    }

    /// Whether it says where the bytes are.
    pub fn has_location(&self) -> bool {
        self.seen.contains("location")
    }
}

/// Why a location is not simply the name of a file beside the model.
fn leads_out(location: &Text) -> Option<&'static str> {
    let Some(path) = location.whole() else {
        return Some("is longer than any path, or no text");
    };
    // ONNX Runtime marks tensors in its own memory with this name, and takes the offset for an address.
    if path.contains("_ORT_MEM_ADDR_") {
        return Some("is an address in the memory of the program that loads it");
    }
    let lower = path.to_ascii_lowercase();
    if path.is_empty() {
        Some("is empty")
    } else if location.is_hidden() || path.chars().any(char::is_control) {
        Some("has characters that do not show")
    } else if path.contains('\\') {
        Some("has a backslash, which is a separator on some systems")
    } else if path.contains(':') {
        Some("names a drive, a stream or an address")
    } else if path.starts_with('/') || path.starts_with('~') {
        Some("does not begin in the model's directory")
    } else if path.split('/').any(|part| part == "..") {
        Some("leads out of the model's directory")
    } else if path.contains(['$', '%', '*', '?', '|', '<', '>']) {
        Some("has characters that programs replace")
    } else if [".lnk", ".url", ".symlink", ".desktop"]
        .iter()
        .any(|end| lower.ends_with(end))
    {
        Some("is the name of a link")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> Text {
        let mut text = Text::default();
        text.feed(bytes);
        text
    }

    #[test]
    fn only_files_beside_the_model_are_ordinary() {
        for location in [
            "model.onnx.data",
            "weights/layer.0",
            "a..b",
            "模型.bin",
            ".hidden",
        ] {
            assert_eq!(leads_out(&text(location.as_bytes())), None, "{location}");
        }
        let long = "x/".repeat(400);
        for location in [
            "",
            "/etc/passwd",
            "../secret",
            "a/../../b",
            "a/..",
            "..\\b",
            "C:model",
            "c:/x",
            "file:///etc/passwd",
            "https://host/x",
            "a\0b",
            "~/x",
            "a\u{202e}b",
            "$HOME/x",
            "x.lnk",
            "*/_ORT_MEM_ADDR_/*",
            long.as_str(),
        ] {
            assert!(leads_out(&text(location.as_bytes())).is_some(), "{location}");
        }
        assert!(leads_out(&text(b"a\xff")).is_some());
    }

    #[test]
    fn entries_are_known_single_and_numbers() {
        let mut external = External::default();
        let mut entry =
            |key: &str, value: &str| external.entry(&text(key.as_bytes()), &text(value.as_bytes()));
        assert_eq!(entry("location", "a"), None);
        assert_eq!(entry("offset", "4096"), None);
        for value in ["", "-1", "+1", " 1", "1e3", "99999999999999999999"] {
            assert!(
                matches!(entry("length", value), Some(Concern::Entry(_))),
                "{value}"
            );
        }
        assert!(matches!(entry("location", "a"), Some(Concern::Entry(_))));
        assert!(matches!(entry("basepath", "/"), Some(Concern::Entry(_))));
        assert!(matches!(entry("x", ""), Some(Concern::Entry(_))));
    }
}
