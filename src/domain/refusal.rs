//! Why a person is not served: a closed list, each with its words among the texts.

use serde::{Deserialize, Serialize};

/// Why a flow was refused or could not go on. The code is the key among the texts (`refusal.<code>`) and the outcome
/// in the audit log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the sentences of the texts say it")]
pub enum Refusal {
    EnrollmentMissing,
    MethodsMissing,
    AccountDisabled,
    AccountExpired,
    AccountPrivileged,
    AccountNotServed,
    NotPermitted,
    AdminNotPermitted,
    SetupLinkVoid,
    InvitationVoid,
    RegainLockout,
    CodeUndeliverable,
    CodeTriesSpent { seconds: u64 },
    ResetTooSoon { days: u32 },
    CannotChangePassword,
    SessionExpired,
    FormForged,
    FlowElsewhere,
    RateLimited { seconds: u64 },
    MenuItemHidden,
    HostUnknown,
    NotFound,
    NotSetUp,
    MethodUnknown,
}

impl Refusal {
    /// The key among the texts and the outcome in the audit log.
    pub const fn code(self) -> &'static str {
        match self {
            Self::EnrollmentMissing => "enrollment_missing",
            Self::MethodsMissing => "methods_missing",
            Self::AccountDisabled => "account_disabled",
            Self::AccountExpired => "account_expired",
            Self::AccountPrivileged => "account_privileged",
            Self::AccountNotServed => "account_not_served",
            Self::NotPermitted => "not_permitted",
            Self::AdminNotPermitted => "admin_not_permitted",
            Self::SetupLinkVoid => "setup_link_void",
            Self::InvitationVoid => "invitation_void",
            Self::RegainLockout => "regain_lockout",
            Self::CodeUndeliverable => "code_undeliverable",
            Self::CodeTriesSpent { .. } => "code_tries_spent",
            Self::ResetTooSoon { .. } => "reset_too_soon",
            Self::CannotChangePassword => "cannot_change_password",
            Self::SessionExpired => "session_expired",
            Self::FormForged => "form_forged",
            Self::FlowElsewhere => "flow_elsewhere",
            Self::RateLimited { .. } => "rate_limited",
            Self::MenuItemHidden => "menu_item_hidden",
            Self::HostUnknown => "host_unknown",
            Self::NotFound => "not_found",
            Self::NotSetUp => "not_set_up",
            Self::MethodUnknown => "method_unknown",
        }
    }
}

/// A service below that is in trouble.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Service {
    /// No controller of the domain answers.
    Directory,
    /// The store can't be used.
    Store,
    /// The store can't be written to for want of space.
    StoreSpace,
    /// Too much is being asked at once.
    Busy,
    /// A write was sent to the directory and its answer never came.
    Outcome,
}

impl Service {
    /// The key among the texts and the outcome in the audit log.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Directory => "directory_unavailable",
            Self::Store => "store_unavailable",
            Self::StoreSpace => "store_full",
            Self::Busy => "busy",
            Self::Outcome => "outcome_unknown",
        }
    }
}
