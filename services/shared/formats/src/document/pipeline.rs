//! The parts of a diffusers pipeline: pairs of a library and a class in it, which the loader imports.
//!
//! Settings of a single part have lists of two texts as well. Which of the two a document is becomes clear only as it goes on.

use crate::text;

/// What parts are loaded from: libraries, and the packages of diffusers that bring classes of their own.
const LIBRARIES: [&str; 27] = [
    "diffusers",
    "transformers",
    "peft",
    "onnxruntime",
    "optimum",
    "null",
    "stable_diffusion",
    "stable_diffusion_safe",
    "alt_diffusion",
    "audioldm2",
    "blip_diffusion",
    "consistency_models",
    "deepfloyd_if",
    "flux",
    "kandinsky",
    "latent_diffusion",
    "ledits_pp",
    "ltx",
    "musicldm",
    "paint_by_example",
    "semantic_stable_diffusion",
    "shap_e",
    "spectrogram_diffusion",
    "stable_audio",
    "stable_cascade",
    "unidiffuser",
    "wuerstchen",
];
/// The most pairs that may turn out to be parts.
const MAX_PAIRS: usize = 256;

/// A pair that names a library which is not known.
#[derive(Debug)]
pub struct Pair {
    /// Where it begins.
    pub at: u64,
    library: String,
    class: String,
    /// The member is the class of the pipeline itself.
    is_pipeline: bool,
}

impl Pair {
    /// What it would have a loader import.
    pub fn shown(&self) -> String {
        format!("\"{}\" of \"{}\"", self.class, self.library)
    }

    /// Modules are written in small letters and classes with a large one, unless somebody means to be taken for something else.
    fn looks_like_a_part(&self) -> bool {
        self.is_pipeline
            || (!self.library.starts_with(char::is_uppercase) && self.class.starts_with(char::is_uppercase))
    }
}

/// The pairs of texts at the top of a document.
#[derive(Debug, Default)]
pub struct Pairs {
    texts: Vec<(u64, String)>,
    /// Those of a list that says what a part is to be, within the list of a part.
    hints: Vec<(u64, String)>,
    unknown: Vec<Pair>,
    /// The names and classes of the parts from known libraries.
    pub known: Vec<(String, String)>,
    overflow: bool,
    is_pipeline: bool,
}

impl Pairs {
    /// The document is a pipeline's, whatever else it holds.
    pub fn is_pipeline(&mut self) {
        self.is_pipeline = true;
    }

    /// A list or an object at the top begins.
    pub fn begin(&mut self) {
        self.texts.clear();
    }

    /// A text in a list at the top.
    pub fn text(&mut self, at: u64, value: &str) {
        if self.texts.len() < 3 {
            self.texts.push((at, text::shown(value)));
        }
    }

    /// A text in the list that says what a part is to be.
    pub fn hint(&mut self, at: u64, value: &str) {
        if self.hints.len() < 2 {
            self.hints.push((at, text::shown(value)));
        }
    }

    /// That list ends.
    pub fn end_hint(&mut self) {
        let mut texts = std::mem::take(&mut self.hints).into_iter();
        if let (Some((at, library)), Some((_, class))) = (texts.next(), texts.next()) {
            self.pair(at, library, class, None);
        }
    }

    /// The list at the top, the member `name`, ends after so many items.
    pub fn end(&mut self, name: Option<&str>, items: u64) {
        let texts = std::mem::take(&mut self.texts);
        // The third, where to fetch the part from, is no text.
        let is_pair = items == 2 || (items == 3 && texts.len() == 2);
        let mut texts = texts.into_iter();
        if let (Some((at, library)), Some((_, class)), true) = (texts.next(), texts.next(), is_pair) {
            self.pair(at, library, class, name);
        }
    }

    fn pair(&mut self, at: u64, library: String, class: String, name: Option<&str>) {
        if LIBRARIES.contains(&library.as_str()) {
            // What is not there is a pair of nothing.
            if let Some(name) = name
                && library != "null"
                && self.known.len() < MAX_PAIRS
            {
                self.known.push((name.to_owned(), class));
            }
            self.is_pipeline = true;
        } else if self.unknown.len() < MAX_PAIRS {
            self.unknown.push(Pair {
                at,
                library,
                class,
                is_pipeline: name == Some("_class_name"),
            });
        } else {
            self.overflow = true;
        }
    }

    /// The pairs that a loader imports, and whether there were too many to tell.
    pub fn conclude(self) -> (Vec<Pair>, bool) {
        let strict = self.is_pipeline;
        let mut pairs = self.unknown;
        pairs.retain(|pair| strict || pair.looks_like_a_part());
        (pairs, self.overflow)
    }
}
