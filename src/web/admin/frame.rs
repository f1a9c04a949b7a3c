//! The frame of the panel's pages: who is signed in, and the list of all pages.

use serde::Serialize;

use super::{Seat, settings};
use crate::domain::admin::Role;

/// For whom a page is in the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Everybodys,
    /// Theirs who may see settings.
    Keepers,
    Administrators,
}
use Whose::{Administrators, Everybodys, Keepers};

/// A page: its key, the key of its title, its address, and for whom it is.
type Entry = (&'static str, &'static str, &'static str, Whose);

/// A tab of settings, which is found by its key.
const fn tab(key: &'static str) -> Entry {
    (key, "", "", Keepers)
}

/// All pages, in groups by what one has in mind.
const GROUPS: [(&str, &[Entry]); 6] = [
    (
        "now",
        &[
            ("overview", "admin.overview", "/admin", Everybodys),
            ("events", "admin.events.title", "/admin/events", Everybodys),
            ("users", "admin.users.title", "/admin/users", Everybodys),
            ("coverage", "admin.coverage.title", "/admin/coverage", Everybodys),
        ],
    ),
    (
        "who",
        &[
            ("domain", "admin.tab.domain", "/admin/domains", Keepers),
            tab("permissions"),
            tab("admin"),
            ("access", "admin.access.title", "/admin/access", Everybodys),
            tab("api"),
            ("tokens", "admin.tokens.title", "/admin/api", Administrators),
        ],
    ),
    (
        "proof",
        &[
            tab("enroll"),
            tab("methods"),
            tab("codes"),
            ("password_rules", "admin.tab.password_rules", "/admin/passwords", Keepers),
            tab("security"),
            tab("limits"),
        ],
    ),
    (
        "pages",
        &[
            tab("general"),
            tab("appearance"),
            ("overrides", "admin.overrides.title", "/admin/overrides", Keepers),
            ("https", "admin.tab.https", "/admin/https", Keepers),
            tab("acme"),
        ],
    ),
    ("messages", &[tab("mail"), tab("sms"), tab("alerts"), tab("reminders")]),
    (
        "upkeep",
        &[
            tab("audit"),
            ("backups", "admin.backup.title", "/admin/backup", Keepers),
            tab("backup"),
            ("purge", "admin.purge.title", "/admin/purge", Keepers),
            ("import", "admin.import.link", "/admin/import", Administrators),
            ("transfer", "admin.transfer.title", "/admin/transfer", Administrators),
            ("about", "admin.about.title", "/admin/about", Everybodys),
        ],
    ),
];

/// What every page of the panel has besides.
#[derive(Serialize)]
pub(super) struct Panel {
    name: String,
    role: &'static str,
    sign_out: String,
    groups: Vec<Group>,
    /// What was searched for among the settings.
    pub search: String,
    may_search: bool,
}

#[derive(Serialize)]
struct Group {
    key: &'static str,
    links: Vec<Link>,
}

#[derive(Serialize)]
struct Link {
    title: String,
    href: String,
    current: bool,
}

impl Panel {
    /// The frame of the page of that key.
    pub(super) fn new(seat: &Seat<'_>, current: &str) -> Self {
        let role = seat.admin.role;
        let sees = |whose| match whose {
            Everybodys => true,
            Keepers => settings::is_for(role),
            Administrators => role == Role::Administrator,
        };
        let link = |(key, title, href, _): &Entry| Link {
            title: match *title {
                "" => seat.say(&format!("admin.tab.{key}"), &[]),
                title => seat.say(title, &[]),
            },
            href: if href.is_empty() { format!("/admin/settings/{key}") } else { (*href).to_owned() },
            current: *key == current,
        };
        let groups = GROUPS.iter().map(|(key, entries)| Group {
            key,
            links: entries.iter().filter(|(.., whose)| sees(*whose)).map(link).collect(),
        });
        Self {
            name: seat.admin.name.clone(),
            role: role.as_str(),
            sign_out: seat.token("/admin/sign-out"),
            groups: groups.filter(|group| !group.links.is_empty()).collect(),
            search: String::new(),
            may_search: settings::is_for(role),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tab_of_settings_is_in_the_list_once() {
        let keys: Vec<_> =
            GROUPS.iter().flat_map(|(_, entries)| entries.iter().map(|entry| entry.0)).collect();
        for tab in settings::TABS {
            assert_eq!(keys.iter().filter(|key| **key == tab).count(), 1, "{tab}");
        }
    }
}
