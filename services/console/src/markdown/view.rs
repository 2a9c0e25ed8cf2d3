//! The tree as HTML, for pages that are made on the server. maud escapes every text and attribute.

use maud::{Markup, html};

use super::Node;

/// The HTML of some nodes.
pub fn html(nodes: &[Node]) -> Markup {
    html! { @for node in nodes { (one(node)) } }
}

fn one(node: &Node) -> Markup {
    html! {
        @match node {
            Node::Text { text } => (text),
            Node::Paragraph { inside } => p { (html(inside)) },
            // The page's own headings end at the second level.
            Node::Heading { level: 1, inside } => h3 { (html(inside)) },
            Node::Heading { level: 2, inside } => h4 { (html(inside)) },
            Node::Heading { level: 3, inside } => h5 { (html(inside)) },
            Node::Heading { inside, .. } => h6 { (html(inside)) },
            Node::Quote { inside } => blockquote { (html(inside)) },
            Node::List { start: None, inside } => ul { (html(inside)) },
            Node::List { start: Some(start), inside } => ol start=(start) { (html(inside)) },
            Node::Item { inside } => li { (html(inside)) },
            Node::Code { language, text } => figure.code {
                figcaption { (language.as_deref().unwrap_or("")) }
                pre tabindex="0" { code { (text) } }
            },
            Node::Verbatim { text } => code { (text) },
            Node::Emphasis { inside } => em { (html(inside)) },
            Node::Strong { inside } => strong { (html(inside)) },
            Node::Strike { inside } => del { (html(inside)) },
            Node::Link { target } => a href=(target) target="_blank" rel="noopener noreferrer nofollow" { (target) },
            Node::Break => br;,
            Node::Rule => hr;,
            Node::Table { inside } => div.table tabindex="0" { table { (html(inside)) } },
            Node::Row { inside } => tr { (html(inside)) },
            Node::Cell { head: true, align, inside } => th.(align) scope="col" { (html(inside)) },
            Node::Cell { head: false, align, inside } => td.(align) { (html(inside)) },
        }
    }
}
