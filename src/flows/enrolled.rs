//! Whether somebody is enrolled, for programs that remind people of it.

use super::{
    Error, Services,
    prove::{self, Way},
};
use crate::domain::{
    account::{DomainName, LogonName},
    enrollment::Enrollment,
};

/// Whether somebody is enrolled, with what is good for something today; for a name that nobody has it is not.
///
/// A name with a suffix of its own, which is none of the domains', may be of any of them.
pub async fn is_enrolled(services: &Services, domain: &DomainName, name: &LogonName) -> Result<bool, Error> {
    let is_of_any = matches!(name, LogonName::Upn { sam: None, .. });
    for directory in services.directories.load_full().iter() {
        if !is_of_any && directory.domain().name != *domain {
            continue;
        }
        if let Some(account) = directory.find(name).await? {
            let enrollment = services.store.find::<Enrollment>(&account.key).await?;
            let settings = services.settings.load();
            return Ok(prove::way(&settings, enrollment.as_deref()) == Some(Way::Enrolled));
        }
    }
    Ok(false)
}
