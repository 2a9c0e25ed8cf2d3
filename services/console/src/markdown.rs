//! The text of an answer as a small tree of harmless elements. Model output never becomes markup.
//!
//! A parser turns Markdown into events; only the elements of [`Node`] come out of them, everything else comes out as the text
//! it was. Raw HTML is text, images are not loaded, and a link can be followed only where its whole target is what one reads.
//! The browser makes its elements from the same tree by name, so neither side ever parses HTML that a model wrote.

mod links;
mod view;

use pulldown_cmark::{Alignment, CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use serde::Serialize;

pub use view::html;

/// Longer texts are shown as they stand, in bytes.
const MAX_RENDERED_BYTES: usize = 512 << 10;
/// Deeper nesting is flattened into what contains it.
const MAX_DEPTH: usize = 24;
/// The longest language name of a code block, in characters.
const MAX_LANGUAGE_CHARACTERS: usize = 30;

/// One element of an answer. This is the whole list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Node {
    /// Text.
    Text {
        /// What it says.
        text: String,
    },
    /// A paragraph.
    Paragraph {
        /// What is in it.
        inside: Vec<Node>,
    },
    /// A heading.
    Heading {
        /// 1 to 6, as the model wrote it; shown below the page's own headings.
        level: u8,
        /// What is in it.
        inside: Vec<Node>,
    },
    /// A quotation.
    Quote {
        /// What is in it.
        inside: Vec<Node>,
    },
    /// A list.
    List {
        /// Number of the first item; none for bullets.
        #[serde(skip_serializing_if = "Option::is_none")]
        start: Option<u32>,
        /// The items.
        inside: Vec<Node>,
    },
    /// An item of a list.
    Item {
        /// What is in it.
        inside: Vec<Node>,
    },
    /// A block of code.
    Code {
        /// Its language, where given.
        #[serde(skip_serializing_if = "Option::is_none")]
        language: Option<String>,
        /// The code.
        text: String,
    },
    /// Code in a line.
    Verbatim {
        /// The code.
        text: String,
    },
    /// Emphasis.
    Emphasis {
        /// What is in it.
        inside: Vec<Node>,
    },
    /// Strong emphasis.
    Strong {
        /// What is in it.
        inside: Vec<Node>,
    },
    /// Struck out.
    Strike {
        /// What is in it.
        inside: Vec<Node>,
    },
    /// A web address that is shown in full and can be followed.
    Link {
        /// The address: the text and the target.
        target: String,
    },
    /// A line break.
    Break,
    /// A rule between paragraphs.
    Rule,
    /// A table.
    Table {
        /// Its rows; the first is the head.
        inside: Vec<Node>,
    },
    /// A row of a table.
    Row {
        /// Its cells.
        inside: Vec<Node>,
    },
    /// A cell of a table.
    Cell {
        /// Whether it is in the head.
        head: bool,
        /// `left`, `center` or `right`.
        align: &'static str,
        /// What is in it.
        inside: Vec<Node>,
    },
}

impl Node {
    fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

/// The tree of a text.
pub fn tree(text: &str) -> Vec<Node> {
    if text.len() > MAX_RENDERED_BYTES {
        return vec![Node::Code {
            language: None,
            text: text.to_owned(),
        }];
    }
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut builder = Builder::default();
    for event in Parser::new_ext(text, options) {
        builder.take(event);
    }
    builder.finish()
}

/// An element that is still open.
enum Open {
    Node(fn(Vec<Node>) -> Node),
    Heading(u8),
    List(Option<u32>),
    Code(Option<String>),
    /// A link or an image: its target follows its text.
    Aimed(String),
    Table,
    Row,
    Cell(&'static str),
    /// Nothing of its own: the inside goes to what contains it.
    Flat,
}

#[derive(Default)]
struct Builder {
    /// What is open, innermost last, with what it contains so far.
    open: Vec<(Open, Vec<Node>)>,
    done: Vec<Node>,
    alignments: Vec<&'static str>,
    in_head: bool,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(end) => self.end(end),
            // HTML that a model wrote is text like any other.
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.add_text(&text),
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.add(Node::Verbatim {
                    text: text.into_string(),
                });
            }
            Event::SoftBreak => self.add_text("\n"),
            Event::HardBreak => self.add(Node::Break),
            Event::Rule => self.add(Node::Rule),
            Event::FootnoteReference(name) => self.add_text(&format!("[^{name}]")),
            Event::TaskListMarker(done) => self.add_text(if done { "[x] " } else { "[ ] " }),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        let open = match tag {
            _ if self.open.len() >= MAX_DEPTH => Open::Flat,
            Tag::Paragraph => Open::Node(|inside| Node::Paragraph { inside }),
            Tag::Heading { level, .. } => Open::Heading(level as u8),
            Tag::BlockQuote(_) => Open::Node(|inside| Node::Quote { inside }),
            Tag::List(start) => Open::List(start.map(|start| u32::try_from(start).unwrap_or(1))),
            Tag::Item => Open::Node(|inside| Node::Item { inside }),
            Tag::CodeBlock(CodeBlockKind::Fenced(info)) => Open::Code(language(&info)),
            Tag::CodeBlock(CodeBlockKind::Indented) => Open::Code(None),
            Tag::Emphasis => Open::Node(|inside| Node::Emphasis { inside }),
            Tag::Strong => Open::Node(|inside| Node::Strong { inside }),
            Tag::Strikethrough => Open::Node(|inside| Node::Strike { inside }),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => Open::Aimed(dest_url.into_string()),
            Tag::Table(alignments) => {
                self.alignments = alignments.into_iter().map(alignment).collect();
                Open::Table
            }
            Tag::TableHead => {
                self.in_head = true;
                Open::Row
            }
            Tag::TableRow => Open::Row,
            Tag::TableCell => Open::Cell(self.alignment_here()),
            // Raw HTML is kept apart like a paragraph; what is in it is text.
            Tag::HtmlBlock => Open::Node(|inside| Node::Paragraph { inside }),
            _ => Open::Flat,
        };
        self.open.push((open, Vec::new()));
    }

    fn end(&mut self, end: TagEnd) {
        if let Some((open, inside)) = self.open.pop() {
            self.close(open, inside);
        }
        if end == TagEnd::TableHead {
            self.in_head = false;
        }
    }

    fn close(&mut self, open: Open, inside: Vec<Node>) {
        match open {
            Open::Node(make) => self.add(make(inside)),
            Open::Heading(level) => self.add(Node::Heading { level, inside }),
            Open::List(start) => self.add(Node::List { start, inside }),
            Open::Code(language) => self.add(Node::Code {
                language,
                text: plain(&inside),
            }),
            Open::Aimed(target) => self.close_aimed(&target, inside),
            Open::Table => self.add(Node::Table { inside }),
            Open::Row => self.add(Node::Row { inside }),
            Open::Cell(align) => self.add(Node::Cell {
                head: self.in_head,
                align,
                inside,
            }),
            Open::Flat => self.add_all(inside),
        }
    }

    /// The text of a link, then its target in full, so that nobody follows what they have not read.
    fn close_aimed(&mut self, target: &str, inside: Vec<Node>) {
        let is_its_own_text = plain(&inside) == target;
        let link = match links::followable(target) {
            Some(target) => Node::Link { target },
            None if is_its_own_text || target.is_empty() => {
                return self.add_all(inside);
            }
            None => Node::text(links::shortened(target)),
        };
        if is_its_own_text {
            return self.add(link);
        }
        let has_text = !inside.is_empty();
        self.add_all(inside);
        self.add_text(if has_text { " (" } else { "(" });
        self.add(link);
        self.add_text(")");
    }

    fn alignment_here(&self) -> &'static str {
        let column = self.open.last().map_or(0, |(_, cells)| cells.len());
        self.alignments.get(column).copied().unwrap_or("left")
    }

    fn add(&mut self, node: Node) {
        match (node, self.here().last_mut()) {
            (Node::Text { text }, Some(Node::Text { text: before })) => before.push_str(&text),
            (node, _) => self.here().push(node),
        }
    }

    fn add_all(&mut self, nodes: Vec<Node>) {
        for node in nodes {
            self.add(node);
        }
    }

    fn add_text(&mut self, text: &str) {
        self.add(Node::text(text));
    }

    fn here(&mut self) -> &mut Vec<Node> {
        self.open.last_mut().map_or(&mut self.done, |(_, inside)| inside)
    }

    fn finish(mut self) -> Vec<Node> {
        while let Some((open, inside)) = self.open.pop() {
            self.close(open, inside);
        }
        self.done
    }
}

const fn alignment(alignment: Alignment) -> &'static str {
    match alignment {
        Alignment::Center => "center",
        Alignment::Right => "right",
        Alignment::Left | Alignment::None => "left",
    }
}

fn language(info: &str) -> Option<String> {
    let fits = |c: &char| c.is_ascii_alphanumeric() || "+-#._".contains(*c);
    let language: String = info
        .chars()
        .take_while(fits)
        .take(MAX_LANGUAGE_CHARACTERS)
        .collect();
    (!language.is_empty()).then_some(language)
}

/// The text in some nodes, without their form.
fn plain(nodes: &[Node]) -> String {
    let mut out = String::new();
    gather(nodes, &mut out);
    out
}

fn gather(nodes: &[Node], out: &mut String) {
    for node in nodes {
        match node {
            Node::Text { text } | Node::Code { text, .. } | Node::Verbatim { text } => out.push_str(text),
            Node::Link { target } => out.push_str(target),
            Node::Break | Node::Rule => out.push('\n'),
            Node::Paragraph { inside }
            | Node::Heading { inside, .. }
            | Node::Quote { inside }
            | Node::List { inside, .. }
            | Node::Item { inside }
            | Node::Emphasis { inside }
            | Node::Strong { inside }
            | Node::Strike { inside }
            | Node::Table { inside }
            | Node::Row { inside }
            | Node::Cell { inside, .. } => gather(inside, out),
        }
    }
}

#[cfg(test)]
mod tests;
