//! What a text is for, by its name and its first words.

use super::installs;

/// What a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// For people to read.
    Plain,
    /// A list of words or pieces of words, which may be any characters.
    Words,
    /// A chat template.
    Template,
    /// Settings.
    Yaml,
    /// A list of software to install.
    Installs,
    /// A program.
    Code,
    /// Not something that comes with models.
    Unknown,
}

/// Names, in lower case, of texts that come with models and have no telling extension.
const NAMES: [&str; 18] = [
    "readme",
    "license",
    "licence",
    "notice",
    "copying",
    ".gitattributes",
    ".gitignore",
    "use_policy",
    "usage_policy",
    "model_license",
    "copyright",
    "changelog",
    "gitattributes",
    ".gitkeep",
    "sha256sums",
    "latest",
    "authors",
    "citation",
];
/// How the names of licences and notices begin, where there are several.
const BEGINNINGS: [&str; 5] = ["license-", "licence-", "license_", "notice-", "third_party_"];
const PLAIN: [&str; 9] = [
    "md",
    "txt",
    "rst",
    "csv",
    "tsv",
    "log",
    "bib",
    "chk",
    "model_card",
];
/// What may follow such a name behind a dot besides: other forms of texts, languages, licences. Whatever else does may be something
/// that a system runs when it is opened.
#[rustfmt::skip]
const ENDINGS: &[&str] = &[
    "md", "mdx", "markdown", "txt", "rst", "adoc", "org", "cff", "bib",
    "zh", "cn", "tw", "en", "ja", "jp", "ko", "kr", "fr", "de", "es", "ru", "pt", "it", "ar", "fa", "hi", "vi", "th", "id", "tr", "uk", "nl",
    "apache", "apache2", "mit", "bsd", "gpl", "lgpl", "agpl", "lesser", "mpl", "isc", "zlib", "cc", "openrail", "llama", "gemma",
];
/// Names and extensions of lists of words. Their lines are tokens, with numbers or in pairs.
const LISTS: [&str; 5] = [
    "vocab.txt",
    "merges.txt",
    "dict.txt",
    "spiece.vocab",
    "tokenizer.model",
];
const WORDS: [&str; 4] = ["bpe", "codes", "tiktoken", "vocab"];
const TEMPLATES: [&str; 4] = ["jinja", "jinja2", "j2", "template"];
/// Extensions of programs.
const CODE: [&str; 28] = [
    "py", "pyw", "pyi", "pyx", "pth", "sh", "bash", "zsh", "js", "mjs", "ts", "rb", "pl", "php", "lua",
    "ps1", "bat", "cmd", "vbs", "c", "cc", "cpp", "cu", "h", "rs", "go", "r", "jl",
];

impl Purpose {
    /// What a text of this name, in lower case and without its directory, is for.
    pub fn of(name: &str, text: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let is_list = LISTS.contains(&name) || WORDS.contains(&extension);
        // A description may begin with an example, and a list is words; nothing imports either.
        let is_read = is_list || matches!(extension, "md" | "mdx" | "markdown") || name == "readme";
        if CODE.contains(&extension) || (!is_read && is_python(text)) {
            Self::Code
        } else if installs::is_list(name) {
            Self::Installs
        } else if TEMPLATES.contains(&extension) {
            Self::Template
        } else if matches!(extension, "yaml" | "yml" | "cff") {
            Self::Yaml
        } else if is_list {
            Self::Words
        } else if PLAIN.contains(&extension) || is_known(name) || is_state(name, text) {
            Self::Plain
        } else {
            Self::Unknown
        }
    }

    /// What it is, for a sentence that begins "this is …".
    pub fn description(self) -> &'static str {
        match self {
            Self::Template => "a chat template",
            Self::Yaml => "a file of settings",
            Self::Words => "a list of words",
            Self::Installs => "a list of software",
            Self::Plain | Self::Code | Self::Unknown => "a text",
        }
    }
}

/// Whether a name is that of a text that comes with models, with nothing behind it but what such texts have there.
fn is_known(name: &str) -> bool {
    if NAMES.contains(&name) {
        return true;
    }
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default();
    let begins = NAMES.contains(&first) || BEGINNINGS.iter().any(|start| first.starts_with(start));
    begins
        && parts.all(|part| {
            let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
            // `zh-cn`, `apache-2`.
            let word = part.split(['-', '_']).next().unwrap_or(part);
            is_number || ENDINGS.contains(&word)
        })
}

/// Whether it is the note in which TensorFlow keeps which checkpoint of a directory is the last: `checkpoint`, with names of files beside it.
fn is_state(name: &str, text: &str) -> bool {
    const MAX_BYTES: usize = 64 << 10;
    let plain = |name: &str| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        !name.starts_with('.') && !name.is_empty() && name.bytes().all(letter)
    };
    let known = |line: &str| match line.split_once(": ") {
        Some(("model_checkpoint_path" | "all_model_checkpoint_paths", value)) => value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .is_some_and(plain),
        Some(("all_model_checkpoint_timestamps" | "last_preserved_timestamp", value)) => {
            value.parse::<f64>().is_ok()
        }
        _ => false,
    };
    name == "checkpoint" && !text.is_empty() && text.len() < MAX_BYTES && text.lines().all(known)
}

/// Whether a text begins as a program in Python does, under whatever name. Comments may come before the program.
fn is_python(text: &str) -> bool {
    const STARTS: [&str; 6] = ["import ", "from ", "def ", "class ", "@", "\"\"\""];
    const MAX_LOOKED_AT: usize = 4096;
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while rest.starts_with('#') {
        rest = rest
            .split_once(['\n', '\r'])
            .map_or("", |(_, rest)| rest)
            .trim_start();
    }
    let end = rest.floor_char_boundary(MAX_LOOKED_AT);
    let head = rest.get(..end).unwrap_or(rest);
    STARTS.iter().any(|start| head.starts_with(start))
        && head.lines().map(str::trim_start).any(|line| {
            let imports = line.starts_with("from ") && line.contains(" import ");
            imports || line.starts_with("import ") || line.starts_with("def ")
        })
}
