//! A list that grows page by page: it never moves, so that growing leaves no holes in memory of which there is little.

/// How many items a page has.
const PAGE: usize = 4096;

/// The list.
#[derive(Debug, Clone)]
pub struct Pages<T> {
    pages: Vec<Vec<T>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Pages<T> {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.pages
            .last()
            .map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: T) {
        match self.pages.last_mut() {
            Some(last) if last.len() < PAGE => last.push(item),
            _ => {
                // A short list is no reason for a page.
                let mut page = Vec::with_capacity(if self.pages.is_empty() { 0 } else { PAGE });
                page.push(item);
                self.pages.push(page);
            }
        }
    }

    /// An item.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    /// An item, to be changed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.pages.get_mut(index / PAGE)?.get_mut(index % PAGE)
    }

    /// Every item, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flatten()
    }

    /// The items in one piece.
    pub fn into_vec(self) -> Vec<T> {
        let mut whole = Vec::with_capacity(self.len());
        for page in self.pages {
            whole.extend(page);
        }
        whole
    }

    /// Where the item is that `key` says is `wanted`, or where it would be, in a list that is sorted by it.
    pub fn search<K: Ord>(&self, wanted: &K, key: impl Fn(&T) -> K) -> Result<usize, usize> {
        let first = |page: &Vec<T>| page.first().is_none_or(|item| key(item) <= *wanted);
        let page = self.pages.partition_point(first).saturating_sub(1);
        let place = |at: usize| page * PAGE + at;
        match self.pages.get(page) {
            Some(items) => items
                .binary_search_by(|item| key(item).cmp(wanted))
                .map(place)
                .map_err(place),
            None => Err(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_where_they_were_put() {
        let mut pages = Pages::default();
        assert_eq!(pages.search(&1, |item| *item), Err(0));
        for item in 0..3 * PAGE + 5 {
            assert_eq!(pages.len(), item);
            pages.push(2 * item);
        }
        for item in [0, 1, PAGE - 1, PAGE, 2 * PAGE + 7, 3 * PAGE + 4] {
            assert_eq!(pages.get(item), Some(&(2 * item)));
            assert_eq!(pages.search(&(2 * item), |item| *item), Ok(item));
            assert_eq!(pages.search(&(2 * item + 1), |item| *item), Err(item + 1));
        }
        assert_eq!(pages.get(3 * PAGE + 5), None);
        let whole: Vec<usize> = (0..3 * PAGE + 5).map(|item| 2 * item).collect();
        assert_eq!(pages.into_vec(), whole);
    }
}
