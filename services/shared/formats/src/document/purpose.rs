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
const NAMES: [&str; 10] = [
    "readme",
    "license",
    "licence",
    "notice",
    "copying",
    ".gitattributes",
    ".gitignore",
    "use_policy",
    "authors",
    "citation",
];
/// How the names of licences and notices begin, where there are several.
const BEGINNINGS: [&str; 5] = ["license-", "licence-", "license_", "notice-", "third_party_"];
const PLAIN: [&str; 5] = ["md", "txt", "rst", "csv", "model_card"];
/// Names and extensions of lists of words. Their lines are tokens, with numbers or in pairs.
const LISTS: [&str; 5] = [
    "vocab.txt",
    "merges.txt",
    "dict.txt",
    "spiece.vocab",
    "tokenizer.model",
];
const WORDS: [&str; 3] = ["bpe", "tiktoken", "vocab"];
const TEMPLATES: [&str; 4] = ["jinja", "jinja2", "j2", "template"];
/// Extensions of programs.
const CODE: [&str; 28] = [
    "py", "pyw", "pyi", "pyx", "pth", "sh", "bash", "zsh", "js", "mjs", "ts", "rb", "pl", "php", "lua",
    "ps1", "bat", "cmd", "vbs", "c", "cc", "cpp", "cu", "h", "rs", "go", "r", "jl",
];

impl Purpose {
    /// What a text of this name, in lower case and without its directory, is for. `head` is how it begins.
    pub fn of(name: &str, head: &str) -> Self {
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let is_known = NAMES.contains(&stem) || NAMES.contains(&name);
        if CODE.contains(&extension) || is_python(head) {
            Self::Code
        } else if installs::is_list(name) {
            Self::Installs
        } else if TEMPLATES.contains(&extension) {
            Self::Template
        } else if matches!(extension, "yaml" | "yml" | "cff") {
            Self::Yaml
        } else if LISTS.contains(&name) || WORDS.contains(&extension) {
            Self::Words
        } else if PLAIN.contains(&extension)
            || is_known
            || BEGINNINGS.iter().any(|start| name.starts_with(start))
        {
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

/// Whether a text begins as a program in Python does, under whatever name.
fn is_python(head: &str) -> bool {
    const STARTS: [&str; 6] = ["import ", "from ", "def ", "class ", "@", "\"\"\""];
    let first = head.trim_start_matches('\u{feff}').trim_start();
    STARTS.iter().any(|start| first.starts_with(start))
        && head
            .lines()
            .any(|line| line.starts_with("import ") || line.starts_with("def ") || line.contains(" import "))
}
