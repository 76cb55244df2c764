//! What can be done, and to what. A closed list: what is not here cannot be asked for.

use custody::{CaseId, HoldId, OrderId, PersonId, SiteId};

macro_rules! acts {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// One thing that can be done. The text stands in the log.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Act { $($(#[$doc])* $name,)* }

        impl Act {
            /// Every act.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The act as the log has it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

acts! {
    /// Ask for footage.
    RequestEvidence = "request-evidence",
    /// Approve a request.
    ApproveCase = "approve-case",
    /// Refuse a request.
    RefuseCase = "refuse-case",
    /// See one case.
    SeeCase = "see-case",
    /// Take a bundle: a disclosure.
    FetchBundle = "fetch-bundle",
    /// Keep footage beyond its time.
    PlaceHold = "place-hold",
    /// End a hold.
    ReleaseHold = "release-hold",
    /// See the holds.
    SeeHolds = "see-holds",
    /// Order footage to be erased before its time.
    OrderErasure = "order-erasure",
    /// Approve an erasure that another person ordered.
    ApproveErasure = "approve-erasure",
    /// Refuse an erasure, or take it back.
    RefuseErasure = "refuse-erasure",
    /// See the erasure orders.
    SeeErasures = "see-erasures",
    /// Read the audit trail.
    ReadAudit = "read-audit",
    /// See sites and cameras and how they are.
    SeeEstate = "see-estate",
    /// Let a new site enrol.
    CreateEnrolmentToken = "create-enrolment-token",
    /// End a site's certificates.
    RevokeSite = "revoke-site",
    /// Say that a key of a site is not believed any more.
    RevokeKey = "revoke-key",
    /// See the transparency logs and who has witnessed them.
    SeeLogs = "see-logs",
    /// Add an account.
    AddPerson = "add-person",
    /// See the accounts.
    SeePeople = "see-people",
    /// End an account.
    SuspendPerson = "suspend-person",
    /// Keep the fleet: enrol, renew, note who came and went.
    KeepFleet = "keep-fleet",
    /// Say which cameras a site has.
    AnnounceCameras = "announce-cameras",
    /// Carry out what was approved or ordered.
    CarryOut = "carry-out",
}

/// What an act is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object<'a> {
    /// The whole estate.
    Estate,
    /// A case, and who asked for it where it exists.
    Case(&'a CaseId, Option<&'a PersonId>),
    /// A hold.
    Hold(&'a HoldId),
    /// An erasure order.
    Order(&'a OrderId),
    /// A site.
    Site(&'a SiteId),
    /// An account.
    Person(&'a PersonId),
}

impl std::fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Estate => f.write_str("the estate"),
            Self::Case(case, _) => write!(f, "{case}"),
            Self::Hold(hold) => write!(f, "{hold}"),
            Self::Order(order) => write!(f, "{order}"),
            Self::Site(site) => write!(f, "{site}"),
            Self::Person(person) => write!(f, "{person}"),
        }
    }
}
