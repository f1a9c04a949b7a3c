//! Views of a table of the console that are kept under a name: of those who look at them, or shared by all.

use serde::{Deserialize, Serialize};

use super::{admin::AdminId, field::Problem};

/// A view under a name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SavedView {
    /// Its name.
    pub name: String,
    /// What it shows: what is behind the question mark of its address.
    pub query: String,
    /// Who kept it.
    pub by: String,
}

impl SavedView {
    /// The most characters of a name.
    pub const MAXIMUM_CHARACTERS: usize = 60;

    /// Understands a name.
    pub fn name(typed: &str) -> Result<String, Problem> {
        let name = typed.trim();
        if name.is_empty() {
            return Err(Problem::FieldEmpty);
        }
        if name.chars().count() > Self::MAXIMUM_CHARACTERS {
            return Err(Problem::FieldTooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(Problem::FieldHasControlCharacters);
        }
        Ok(name.to_owned())
    }
}

/// Where views are kept together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShelfKey {
    /// Of which table.
    pub table: &'static str,
    /// Whose they are; of nobody are those that are shared.
    pub owner: Option<AdminId>,
}

/// The views that are kept together, in the order of their names.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Shelf {
    /// The views.
    pub views: Vec<SavedView>,
}

impl Shelf {
    /// So many at most.
    pub const MOST: usize = 50;
    /// So many bytes of them at most: they are one record.
    const MOST_BYTES: usize = 32 * 1024;

    /// Puts a view in the place of the one of that name, or among the others; false if there is no room.
    #[must_use]
    pub fn put(&mut self, view: SavedView) -> bool {
        self.take(&view.name);
        let size = |view: &SavedView| view.name.len() + view.query.len() + view.by.len();
        let taken: usize = self.views.iter().map(size).sum();
        if self.views.len() >= Self::MOST || taken + size(&view) > Self::MOST_BYTES {
            return false;
        }
        let at = self.views.partition_point(|other| other.name.to_lowercase() < view.name.to_lowercase());
        self.views.insert(at, view);
        true
    }

    /// Takes the one of that name out.
    pub fn take(&mut self, name: &str) -> Option<SavedView> {
        let at = self.views.iter().position(|view| view.name == name)?;
        Some(self.views.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_in_order_and_have_an_end() {
        let mut shelf = Shelf::default();
        let view =
            |name: &str, query: &str| SavedView { name: name.into(), query: query.into(), by: "root".into() };
        for name in ["b", "A", "c"] {
            assert!(shelf.put(view(name, "")));
        }
        assert!(shelf.put(view("b", "q=1")));
        let names: Vec<_> = shelf.views.iter().map(|view| format!("{}{}", view.name, view.query)).collect();
        assert_eq!(names, ["A", "bq=1", "c"]);
        for number in 3..Shelf::MOST {
            assert!(shelf.put(view(&format!("n{number}"), "")));
        }
        assert!(!shelf.put(view("z", "")) && shelf.take("z").is_none() && shelf.take("A").is_some());
        assert!(shelf.put(view("z", "")));
        assert_eq!(SavedView::name(" a "), Ok("a".into()));
        for (typed, problem) in [
            ("  ", Problem::FieldEmpty),
            ("a\u{7}", Problem::FieldHasControlCharacters),
            (&"x".repeat(61), Problem::FieldTooLong),
        ] {
            assert_eq!(SavedView::name(typed), Err(problem));
        }
    }
}
