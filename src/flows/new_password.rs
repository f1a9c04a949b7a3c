//! Which rules hold for somebody's new password, and which of them one breaks.

use tokio::task::spawn_blocking;

use super::{Error, Services};
use crate::{
    breached::{self, List},
    domain::{
        account::{Account, DomainName},
        field::{Field, Problems},
        flow::Kind,
        password_rules::{Rule, Rules, strength},
        secret::Password,
    },
    settings::{Profile, add_password_rules},
};

/// The rules for the new password of an account.
pub fn rules(services: &Services, account: &Account, kind: Kind) -> Rules {
    let settings = services.settings.load();
    let is_change = kind == Kind::Change;
    let is_enforced = is_change || settings.security.enforce_history && account.enforces_history;
    let mut rules = Rules::of(&account.policy, is_enforced);
    add_password_rules(&settings.password_rules, &mut rules, Some(account));
    if !is_change {
        rules.forget_present();
    }
    rules
}

/// The rules that hold for everybody in a domain, as far as may be told before anything is proved: nothing where the pages
/// are reached from the Internet, or if the directory can't say.
pub async fn rules_of_domain(services: &Services, domain: &DomainName) -> Rules {
    let settings = services.settings.load_full();
    if settings.security.profile == Profile::Internet {
        return Rules::default();
    }
    let Ok(directory) = services.directory(domain) else { return Rules::default() };
    let Ok(policy) = directory.policy().await else { return Rules::default() };
    let mut rules = Rules::of(&policy, true);
    add_password_rules(&settings.password_rules, &mut rules, None);
    rules
}

/// What is wrong with a new password, as far as that can be told without the directory; all of it at once. `old`: the
/// present one, if it is known.
pub(super) async fn problems(
    services: &Services,
    rules: &Rules,
    new: &Password,
    old: Option<&Password>,
) -> Result<Problems, Error> {
    let mut broken = rules.broken(new, old);
    if let Some(least) = rules.least_strength() {
        let settings = services.settings.load();
        let others = [settings.general.product_name.as_str()];
        let guessed = rules.names().iter().map(String::as_str).chain(others).collect::<Vec<_>>();
        if strength(new, &guessed) < least {
            broken.push(Rule::Strength(least));
        }
    }
    if rules.list().any(|rule| rule == Rule::Breached) && is_breached(services, new).await? {
        broken.push(Rule::Breached);
    }
    let mut problems = Problems::new();
    for rule in broken {
        problems.push(Field::NewPassword, rule.problem());
    }
    Ok(problems)
}

/// How many passwords are in the list of stolen ones, or why it can't be read; `None` if there is no such setting.
pub async fn stolen(services: &Services) -> Result<Option<Result<u64, String>>, Error> {
    let Some(path) = services.settings.load().security.breached_passwords_file.clone() else {
        return Ok(None);
    };
    let opens = spawn_blocking(move || List::open(&path).map(|list| list.entries()));
    let told = opens.await.map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Some(told.map_err(|error| error.to_string())))
}

/// A list that can't be read lets nobody through: whoever asked for it would not learn that it is without effect.
async fn is_breached(services: &Services, new: &Password) -> Result<bool, Error> {
    let path = services.settings.load().security.breached_passwords_file.clone();
    let path = path.ok_or_else(|| Error::Internal("there is no list of stolen passwords".into()))?;
    let key = breached::key_of(new);
    let looks = spawn_blocking(move || {
        let told = List::open(&path).and_then(|list| list.has_key(key));
        told.map_err(|error| format!("the list of stolen passwords, {}: {error}", path.display()))
    });
    let told = looks.await.map_err(|error| Error::Internal(error.to_string()))?;
    told.map_err(Error::Internal)
}
