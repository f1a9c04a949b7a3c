//! The last step of an unlock: done as soon as all was proved.

use super::{Error, Next, Services, Visitor, write};
use crate::{
    domain::{
        account::Account,
        flow::{Ending, Flow, Kind, Write},
        refusal::Service,
    },
    store::Found,
};

/// Ends the lockout of an account that was proved; the flow goes on under the `owner`'s new session.
pub(super) async fn carry_out(
    services: &Services,
    visitor: &Visitor,
    owner: Visitor,
    flow: &Found<Flow>,
    account: Account,
) -> Result<Next, Error> {
    let intended =
        write::intend(services, (visitor, &owner), Kind::Unlock, flow, &account, Write::Unlock).await?;
    let Some(writing) = intended else { return Ok(Next::Moved(None)) };
    // Also when it doesn't look locked: another controller may know better, and it does no harm.
    let result = services.directory(&account.key.domain)?.unlock(&account).await;
    let ending = Ending::Unlocked { was_locked: account.locked };
    match write::conclude(services, &owner, Kind::Unlock, &writing, &account, (ending, None), result).await {
        // What became of it is shown where the flow is now: under the new session, which only an answer that moves
        // on hands out.
        Err(Error::Unavailable(Service::Outcome, text)) => {
            tracing::warn!(account = %account.key.guid, text, "the outcome of an unlock is unknown");
            Ok(Next::Moved(Some(owner.session)))
        }
        other => other,
    }
}
