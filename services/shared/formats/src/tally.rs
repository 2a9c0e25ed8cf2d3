//! Which type most of a model's numbers have.

/// How many elements there are of each type.
#[derive(Debug, Default)]
pub struct Tally(Vec<(&'static str, u64)>);

impl Tally {
    /// Counts the elements of a tensor.
    pub fn add(&mut self, name: &'static str, elements: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count = count.saturating_add(elements),
            None => self.0.push((name, elements)),
        }
    }

    /// The type that most elements have.
    pub fn predominant(&self) -> Option<String> {
        let most = self.0.iter().max_by_key(|(_, elements)| *elements)?;
        Some(most.0.to_owned())
    }
}
