//! Why footage is kept, and when a person must look at it again. Pure.
//!
//! Groups and periods are those of the College of Policing's Authorised Professional Practice
//! (Information management: review, retention and disposal of police information,
//! <https://www.college.police.uk/app/information-management/management-police-information/retention-review-and-disposal>);
//! they have outlived the MoPI code of 2005, which the Police Information and Records Management Code of
//! Practice replaced in 2023. APP counts a *clear period*: the time since a person last came to notice as
//! an offender. Footage knows nobody, so here the order begins it, and a review is never later than APP
//! has it:
//!
//! | group | APP | looked at again after |
//! |---|---|---|
//! | 1 certain public protection matters | kept until the offender is 100, reviewed every 10 years | 10 years |
//! | 2 other sexual, violent or serious offences | reviewed after a clear period of 10 years | 10 years |
//! | 3 all other offending | reviewed after a clear period of 6 years | 6 years |
//! | 4 miscellaneous | no period of its own: as CPIA and the limitation of claims have it | 1 year |
//!
//! The year of group 4, which purposes that are not policing have too, is ours and not APP's: the
//! shortest, since footage shows bystanders, and a review is not yet a disposal. The force's records
//! manager compares the table with APP's own before the first hold, and at each change of APP.

use custody::WallTime;
use custody::record::{Grounds, LegalBasis, MopiGroup};

use crate::access::{Code, Purpose, Refusal};

/// What an order says of its grounds; the rest follows from the purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// The law.
    pub basis: Option<LegalBasis>,
    /// The MoPI group.
    pub mopi_group: Option<MopiGroup>,
    /// When to look again.
    pub review_at: Option<WallTime>,
}

/// A leap day makes a review a day early, never late.
const YEAR_S: i64 = 365 * 24 * 3600;

/// The law that footage for a purpose is kept by, where nobody says another.
#[must_use]
pub fn basis_of(purpose: Purpose) -> LegalBasis {
    match purpose {
        Purpose::Crime => LegalBasis::Cpia,
        Purpose::Security | Purpose::Maintenance => LegalBasis::LawEnforcement,
        Purpose::Misconduct => LegalBasis::Misconduct,
        Purpose::SubjectAccess => LegalBasis::DataRights,
        Purpose::Insurance => LegalBasis::LegalClaim,
    }
}

/// The group of a purpose where nobody says another: 3, all other offending; 4 where none is meant.
fn group_of(purpose: Purpose) -> MopiGroup {
    let number = match purpose {
        Purpose::Crime | Purpose::Security | Purpose::Misconduct => 3,
        Purpose::SubjectAccess | Purpose::Insurance | Purpose::Maintenance => 4,
    };
    MopiGroup::new(number).expect("3 and 4 are groups")
}

/// When footage of a group must be looked at again at the latest, from `now`.
#[must_use]
pub fn latest_review(group: MopiGroup, now: WallTime) -> WallTime {
    let years = match group.number() {
        1 | 2 => 10,
        3 => 6,
        _ => 1,
    };
    now.plus_seconds(years * YEAR_S)
}

/// The grounds of an order.
///
/// # Errors
/// `review-invalid`, when the date is over, or later than the group has it.
pub fn decide(asked: Asked, purpose: Purpose, now: WallTime) -> Result<Grounds, Refusal> {
    let mopi_group = asked.mopi_group.unwrap_or_else(|| group_of(purpose));
    let latest = latest_review(mopi_group, now);
    let review_at = asked.review_at.unwrap_or(latest);
    if review_at <= now || review_at > latest {
        return Err(Refusal::new(
            Code::ReviewInvalid,
            format!(
                "the review date {review_at} is not between now and {latest}, the latest that MoPI \
                 group {} has: name an earlier date or leave it out",
                mopi_group.number()
            ),
        ));
    }
    let basis = asked.basis.unwrap_or_else(|| basis_of(purpose));
    Ok(Grounds { basis, mopi_group, review_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grounds_follow_from_the_purpose_unless_said() {
        let now: WallTime = "2026-11-21T12:00:00Z".parse().unwrap();
        for (purpose, basis, group, review) in [
            (Purpose::Crime, "cpia", 3, "2032-11-19T12:00:00Z"),
            (Purpose::Security, "law-enforcement", 3, "2032-11-19T12:00:00Z"),
            (Purpose::Misconduct, "misconduct", 3, "2032-11-19T12:00:00Z"),
            (Purpose::SubjectAccess, "data-rights", 4, "2027-11-21T12:00:00Z"),
            (Purpose::Insurance, "legal-claim", 4, "2027-11-21T12:00:00Z"),
        ] {
            let grounds = decide(Asked::default(), purpose, now).unwrap();
            assert_eq!(grounds.basis.as_str(), basis);
            assert_eq!(grounds.mopi_group.number(), group);
            assert_eq!(grounds.review_at, review.parse().unwrap(), "{purpose}");
        }
        let said = Asked {
            basis: Some(LegalBasis::DataRights),
            mopi_group: MopiGroup::new(1),
            review_at: Some(now.plus_seconds(9 * YEAR_S)),
        };
        let grounds = decide(said, Purpose::Crime, now).unwrap();
        assert_eq!((grounds.basis, grounds.mopi_group.number()), (LegalBasis::DataRights, 1));
        for bad in [now, now.plus_seconds(11 * YEAR_S)] {
            let asked = Asked { review_at: Some(bad), ..said };
            assert_eq!(decide(asked, Purpose::Crime, now).unwrap_err().code(), Code::ReviewInvalid);
        }
    }
}
