//! Who may do what: one exhaustive table, refusing by default.

use super::act::{Act, Object};
use super::principal::{Actor, Principal};
use super::refusal::{Code, Refusal};
use super::role::Role;

/// The roles of an account that may do `act`. Footage is never behind a role of the supplier, the
/// administrator, the auditor or the board.
fn roles(act: Act) -> &'static [Role] {
    match act {
        Act::RequestEvidence => &[Role::Requester, Role::Technician, Role::System],
        Act::ApproveCase | Act::RefuseCase => &[Role::Authoriser],
        Act::SeeCase => &[
            Role::Requester,
            Role::Technician,
            Role::Authoriser,
            Role::AssetOwner,
            Role::Dpo,
            Role::System,
        ],
        Act::FetchBundle => &[Role::Technician, Role::System],
        Act::PlaceHold | Act::ReleaseHold => &[Role::Technician],
        Act::SeeHolds => &[Role::Technician, Role::Authoriser, Role::AssetOwner, Role::Dpo],
        Act::OrderErasure => &[Role::Dpo],
        Act::ApproveErasure => &[Role::AssetOwner],
        Act::RefuseErasure => &[Role::AssetOwner, Role::Dpo],
        Act::SeeErasures => &[Role::Technician, Role::AssetOwner, Role::Dpo],
        Act::ReadAudit => &[Role::Auditor, Role::AssetOwner, Role::Dpo],
        Act::SeeEstate => &[
            Role::Requester,
            Role::Technician,
            Role::Authoriser,
            Role::Viewer,
            Role::AssetOwner,
            Role::Dpo,
            Role::Administrator,
            Role::Supplier,
            Role::System,
        ],
        Act::SeeLogs => {
            &[Role::Auditor, Role::Technician, Role::AssetOwner, Role::Dpo, Role::Administrator]
        }
        Act::CreateEnrolmentToken
        | Act::RevokeSite
        | Act::RevokeKey
        | Act::AddPerson
        | Act::SeePeople
        | Act::SuspendPerson => &[Role::Administrator],
        Act::KeepFleet | Act::AnnounceCameras | Act::CarryOut => &[],
    }
}

/// Whether this program may do `act` of its own accord. The first account is added by
/// `controller init`, before there is anyone who could.
fn is_controllers(act: Act) -> bool {
    match act {
        Act::KeepFleet | Act::AnnounceCameras | Act::CarryOut | Act::AddPerson => true,
        Act::RequestEvidence
        | Act::ApproveCase
        | Act::RefuseCase
        | Act::SeeCase
        | Act::FetchBundle
        | Act::PlaceHold
        | Act::ReleaseHold
        | Act::SeeHolds
        | Act::OrderErasure
        | Act::ApproveErasure
        | Act::RefuseErasure
        | Act::SeeErasures
        | Act::ReadAudit
        | Act::SeeEstate
        | Act::CreateEnrolmentToken
        | Act::RevokeSite
        | Act::RevokeKey
        | Act::SeeLogs
        | Act::SeePeople
        | Act::SuspendPerson => false,
    }
}

/// Whether a site may do `act`, to itself alone.
fn is_sites(act: Act) -> bool {
    matches!(act, Act::KeepFleet | Act::AnnounceCameras)
}

/// Says whether `principal` may do `act` to `object`.
///
/// # Errors
/// `person-suspended`, `role-missing`.
pub fn decide(principal: &Principal, act: Act, object: Object<'_>) -> Result<(), Refusal> {
    match &principal.actor {
        Actor::Person(account) | Actor::System(account) => {
            if principal.suspended {
                return Err(suspended(&principal.actor));
            }
            let fits: Vec<Role> =
                roles(act).iter().copied().filter(|role| principal.roles.contains(role)).collect();
            if fits.is_empty() {
                return Err(role_missing(principal, act, object));
            }
            // An officer and a system see the cases that they asked for; the others see all.
            let own_only = fits.iter().all(|role| matches!(role, Role::Requester | Role::System));
            match object {
                Object::Case(case, Some(asked_by))
                    if act == Act::SeeCase && own_only && asked_by != account =>
                {
                    Err(Refusal::new(
                        Code::RoleMissing,
                        format!(
                            "{} may see only cases that they asked for, and {case} is another's: \
                             ask a technician or an authoriser",
                            principal.actor
                        ),
                    ))
                }
                _ => Ok(()),
            }
        }
        Actor::Site(site) => {
            let is_own = matches!(object, Object::Site(about) if about == site);
            if is_sites(act) && is_own { Ok(()) } else { Err(role_missing(principal, act, object)) }
        }
        Actor::Controller if is_controllers(act) => Ok(()),
        Actor::Controller => Err(role_missing(principal, act, object)),
    }
}

fn suspended(actor: &Actor) -> Refusal {
    Refusal::new(
        Code::PersonSuspended,
        format!("the account {actor} has been ended: ask an administrator for a new one"),
    )
}

fn role_missing(principal: &Principal, act: Act, object: Object<'_>) -> Refusal {
    let actor = &principal.actor;
    let able: Vec<_> = roles(act).iter().map(|role| role.as_str()).collect();
    let message = if able.is_empty() {
        format!("{actor} may not {} ({object}): no account may", act.as_str())
    } else {
        format!(
            "{actor} may not {} ({object}): it needs the role {}; ask someone who has it, or an \
             administrator",
            act.as_str(),
            able.join(" or ")
        )
    };
    Refusal::new(Code::RoleMissing, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(roles: &[Role]) -> Principal {
        Principal {
            actor: Actor::Person("t.okafor".parse().unwrap()),
            roles: roles.iter().copied().collect(),
            suspended: false,
        }
    }

    /// Every role, in the short names of the table alone.
    mod expected {
        use crate::access::{Act, Role};
        use Act::{
            AddPerson, ApproveErasure, CreateEnrolmentToken, FetchBundle, OrderErasure, PlaceHold,
            ReadAudit, RefuseErasure, ReleaseHold, RequestEvidence, RevokeKey, RevokeSite, SeeCase,
            SeeErasures, SeeEstate, SeeHolds, SeeLogs, SeePeople, SuspendPerson,
        };
        use Role::{
            Administrator, AssetOwner, Auditor, Authoriser, Board, Dpo, Recipient, Requester,
            Supplier, System, Technician, Viewer,
        };

        /// What each role may do.
        pub(super) const TABLE: [(Role, &[Act]); 12] = [
            (Requester, &[RequestEvidence, SeeCase, SeeEstate]),
            (
                Technician,
                &[
                    RequestEvidence,
                    SeeCase,
                    FetchBundle,
                    PlaceHold,
                    ReleaseHold,
                    SeeHolds,
                    SeeErasures,
                    SeeEstate,
                    SeeLogs,
                ],
            ),
            (Authoriser, &[Act::ApproveCase, Act::RefuseCase, SeeCase, SeeHolds, SeeEstate]),
            (Viewer, &[SeeEstate]),
            (
                AssetOwner,
                &[
                    SeeCase,
                    SeeHolds,
                    ApproveErasure,
                    RefuseErasure,
                    SeeErasures,
                    ReadAudit,
                    SeeEstate,
                    SeeLogs,
                ],
            ),
            (
                Dpo,
                &[
                    SeeCase,
                    SeeHolds,
                    OrderErasure,
                    RefuseErasure,
                    SeeErasures,
                    ReadAudit,
                    SeeEstate,
                    SeeLogs,
                ],
            ),
            (Auditor, &[ReadAudit, SeeLogs]),
            (
                Administrator,
                &[
                    SeeEstate,
                    CreateEnrolmentToken,
                    RevokeSite,
                    RevokeKey,
                    SeeLogs,
                    AddPerson,
                    SeePeople,
                    SuspendPerson,
                ],
            ),
            (Supplier, &[SeeEstate]),
            (Board, &[]),
            (Recipient, &[]),
            (System, &[RequestEvidence, SeeCase, FetchBundle, SeeEstate]),
        ];
    }

    #[test]
    fn each_role_may_do_its_own_work_and_nothing_else() {
        for (role, may) in expected::TABLE {
            for act in Act::ALL {
                let answer = decide(&person(&[role]), *act, Object::Estate);
                assert_eq!(answer.is_ok(), may.contains(act), "{role} {}", act.as_str());
                if let Err(refusal) = answer {
                    assert_eq!(refusal.code(), Code::RoleMissing);
                }
            }
        }
    }

    #[test]
    fn an_officer_sees_their_own_cases_and_a_technician_all() {
        let case = "WH-2026-000001".parse().unwrap();
        let other = "a.bell".parse().unwrap();
        let own = "t.okafor".parse().unwrap();
        let of = |by| Object::Case(&case, Some(by));
        let officer = person(&[Role::Requester]);
        assert!(decide(&officer, Act::SeeCase, of(&own)).is_ok());
        let refusal = decide(&officer, Act::SeeCase, of(&other)).unwrap_err();
        assert_eq!(refusal.code(), Code::RoleMissing);
        let both = person(&[Role::Requester, Role::Technician]);
        assert!(decide(&both, Act::SeeCase, of(&other)).is_ok());
    }

    #[test]
    fn a_suspended_account_may_do_nothing() {
        let ended = Principal { suspended: true, ..person(&Role::ALL) };
        for act in Act::ALL {
            let refusal = decide(&ended, *act, Object::Estate).unwrap_err();
            assert_eq!(refusal.code(), Code::PersonSuspended);
        }
    }

    #[test]
    fn a_site_speaks_for_itself_alone() {
        let (east, west) = ("east".parse().unwrap(), "west".parse().unwrap());
        let site = Principal::machine(Actor::Site("east".parse().unwrap()));
        for act in Act::ALL {
            let may = matches!(act, Act::KeepFleet | Act::AnnounceCameras);
            assert_eq!(decide(&site, *act, Object::Site(&east)).is_ok(), may, "{}", act.as_str());
            assert!(decide(&site, *act, Object::Site(&west)).is_err());
            assert!(decide(&site, *act, Object::Estate).is_err());
        }
    }

    #[test]
    fn the_controller_decides_nothing_about_evidence() {
        let controller = Principal::machine(Actor::Controller);
        for act in [Act::RequestEvidence, Act::ApproveCase, Act::FetchBundle, Act::ReleaseHold] {
            assert!(decide(&controller, act, Object::Estate).is_err());
        }
        assert!(decide(&controller, Act::CarryOut, Object::Estate).is_ok());
    }
}
