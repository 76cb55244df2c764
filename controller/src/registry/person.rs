//! Accounts of people and systems: adding and ending them.

use std::collections::BTreeSet;

use custody::{Digest, PersonId};

use super::Registry;
use crate::access::principal::CONTROLLER;
use crate::access::{Code, Refusal, Role};
use crate::log::Event;
use crate::log::event::people::{PersonAdded, PersonSuspended};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What its owner is.
    pub roles: BTreeSet<Role>,
    /// Whether it has been ended.
    pub suspended: bool,
    /// The digest of its token.
    pub token_sha256: Digest,
}

/// Decides to add an account.
///
/// # Errors
/// `person-exists`, `role-unknown` (none given), `name-invalid`.
pub fn add(
    registry: &Registry,
    person: &PersonId,
    roles: &BTreeSet<Role>,
    token_sha256: Digest,
) -> Result<Vec<Event>, Refusal> {
    if registry.accounts.contains_key(person) {
        return Err(Refusal::new(
            Code::PersonExists,
            format!("an account {person} exists: choose another name, also if it has been ended"),
        ));
    }
    if person.as_str() == CONTROLLER {
        return Err(Refusal::new(
            Code::NameInvalid,
            "`controller` is this program's own name in the audit trail: choose another",
        ));
    }
    if roles.is_empty() {
        return Err(Refusal::new(
            Code::RoleUnknown,
            format!("the account {person} needs at least one role: name it"),
        ));
    }
    let event = PersonAdded { person: person.clone(), roles: roles.clone(), token_sha256 };
    Ok(vec![Event::PersonAdded(event)])
}

/// Decides to end an account.
///
/// # Errors
/// `person-unknown`, `person-suspended` (already), `last-administrator`.
pub fn suspend(registry: &Registry, person: &PersonId) -> Result<Vec<Event>, Refusal> {
    let account = registry.accounts.get(person).ok_or_else(|| {
        Refusal::new(
            Code::PersonUnknown,
            format!("there is no account {person}: list the people to see their names"),
        )
    })?;
    if account.suspended {
        return Err(Refusal::new(
            Code::PersonSuspended,
            format!("the account {person} has already been ended: nothing is left to do"),
        ));
    }
    let is_administrator =
        |account: &Account| !account.suspended && account.roles.contains(&Role::Administrator);
    let others =
        registry.accounts.iter().any(|(name, account)| name != person && is_administrator(account));
    if is_administrator(account) && !others {
        return Err(Refusal::new(
            Code::LastAdministrator,
            format!("{person} is the last administrator: add another one first"),
        ));
    }
    Ok(vec![Event::PersonSuspended(PersonSuspended { person: person.clone() })])
}

pub(super) fn apply_added(registry: &mut Registry, event: &PersonAdded) {
    let account =
        Account { roles: event.roles.clone(), suspended: false, token_sha256: event.token_sha256 };
    registry.accounts_by_token.insert(event.token_sha256, event.person.clone());
    registry.accounts.insert(event.person.clone(), account);
}

pub(super) fn apply_suspended(registry: &mut Registry, event: &PersonSuspended) {
    if let Some(account) = registry.accounts.get_mut(&event.person) {
        account.suspended = true;
    }
}
