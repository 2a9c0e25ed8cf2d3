use super::*;

#[test]
fn what_tokenizers_and_adapters_use_is_accepted() {
    for pattern in [
        // GPT-2 and those after it.
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        // cl100k, as Llama 3 and others have it; with Qwen's single digits; as it was written later.
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        // o200k.
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        // DeepSeek, in three steps.
        r"\p{N}{1,3}",
        r"[一-龥぀-ゟ゠-ヿ]+",
        r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
        // Kimi, with lists within lists.
        r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        // CLIP.
        r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
        r"\s+",
        r" {2,}",
        r"\d+(?=(?:\d{3})+(?!\d))",
        r"(?:\p{L}\p{M}*)+",
        r"(?:[A-Z][a-z]*)+|(?:\d{1,3},)*\d{3}",
        // Adapters.
        "all-linear",
        r".*\.(q|k|v|o)_proj",
        r"^(language_model|model)(?=\.).*(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)$",
        r"(?:.*?(?:language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense).*?(?:k_proj|v_proj|q_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attention|attn)\.(?:(?:q_proj|k_proj)))",
        r"model\.layers\.(?:[0-9]|1[0-9])\.mlp\..*_proj",
        r"blocks\.(\d+)\.(?P<name>attn|mlp)\.\w+",
        "(ab|cd)*x",
        "(?>a+)+b",
        "(a++)+b",
        "a{2,3}",
        r"[0-9a-f]{64}(?:\s?x){12}",
        "(?:ab|cd){16}",
        "(?:a|aa){3}",
        "(?:a{3}b)*",
        r"[]a]+[^]]*",
    ] {
        assert_eq!(judge(pattern), None, "{pattern}");
    }
}

#[test]
fn what_reads_a_text_in_many_ways_is_told() {
    for pattern in [
        "(a+)+",
        "(a+)+$",
        "^(a*)*b",
        "(a|a)*x",
        "(a|aa)+$",
        "(.*)*x",
        "(.*a){20}",
        "(a?){30}a{30}",
        "(a*){2,30}b",
        "(a|aa){20}b",
        r"(\w+\s?)*$",
        r"(\w|\d)+x",
        r"^(([a-z])+.)+[A-Z]([a-z])+$",
        "(?:a+)+?b",
        "(?:(?:a+))+",
        "(a+|b)*x",
        "(a*b*)*x",
        "(a{1,3})+x",
        "(a{1,99})+x",
        "(?i:(a|A)*)x",
        r"(\p{L}|\p{Lu})+!",
        r"(\s|\n)*x",
        "(x+x+)+y",
        "(?=(a+)+b)a",
        "(?!(a+)+b)a",
        "(?<=(a+)+b)a",
        "(?>(a+)+b)",
        r"(\u0061|a)*b",
        r"(\x61|[a-c])*b",
        r"((a|b)|[ab])*c",
        "(?:a(?:b|b))*c",
        "(a?a)*b",
        "(?#a remark)(a+)+",
        "(?P<name>a+)+x",
        "(?i)(k|K)*x",
        // One syntax has a list that ends early where another has a list in a list.
        "[[](a+)+[]]",
        "[a[b](c+)+]",
        "([a-z]+[0-9]*)*!",
        "(?:.*?,)*.*(?:(b|b)+)+",
    ] {
        assert_eq!(judge(pattern), Some(Flaw::Ambiguous), "{pattern}");
    }
}

#[test]
fn what_cannot_be_followed_is_said() {
    let deep = format!("{}a{}*", "(".repeat(99), ")".repeat(99));
    let long = "a+".repeat(20_000);
    let wide = format!("({})*", "ab?".repeat(9000));
    let heavy = format!("({}x)*", "[a-z]?".repeat(900));
    let power = format!("{}a{}", "(".repeat(20), "{0,4})".repeat(20));
    for pattern in [
        "(a*",
        "a*)",
        "[a*",
        "a*\\",
        "(?x) a *",
        "(?(1)a|b)*",
        r"(a*)\g<1>",
        "(?#a*",
        &deep,
        &long,
        &wide,
        &heavy,
        &power,
    ] {
        assert!(
            matches!(judge(pattern), Some(Flaw::Unclear(_))),
            "{:.40}: {:?}",
            pattern,
            judge(pattern)
        );
    }
}
