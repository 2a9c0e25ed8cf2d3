//! Program text where only descriptions belong.
//!
//! Nothing runs the metadata of a model by itself. What is put there as a command waits for a tool, a page or a person that
//! does, and no description needs it.

/// Words, in lower case, that a command or a program has and a description has not.
const WORDS: [&str; 24] = [
    "os.system(",
    "os.popen(",
    "subprocess.",
    "__import__(",
    "importlib.",
    "exec(",
    "eval(",
    "pickle.loads(",
    "b64decode(",
    "<script",
    "javascript:",
    "onerror=",
    "rm -rf ",
    "wget http",
    "curl http",
    "curl -",
    "| sh",
    "|sh",
    "| bash",
    "|bash",
    "/bin/sh",
    "powershell ",
    "cmd.exe",
    "chmod 777",
];

/// The word that gives a text away as a program, if there is one.
pub fn found_in(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    WORDS.iter().copied().find(|word| text.contains(word))
}
