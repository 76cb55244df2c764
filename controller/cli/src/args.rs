//! Commands and options. Pure: reads text, reaches nothing.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use custody::{CameraId, CaseId, HoldId, OrderId, PersonId, SiteId, WallTime};

use crate::failure::EXITS;
use crate::when::{self, When};

/// Asks for footage, follows it to a verified bundle, and shows how sites and cameras are.
#[derive(Debug, Parser)]
#[command(name = "watchhouse", version, after_help = EXITS, propagate_version = true)]
pub struct Args {
    /// Where the controller is and who you are.
    #[command(flatten)]
    pub controller: Controller,
    /// The form of the answer.
    #[arg(long, global = true, value_enum, default_value = "table")]
    pub output: Output,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Where the controller is and who you are.
#[derive(Debug, Clone, ClapArgs)]
pub struct Controller {
    /// The controller, https://HOST:PORT.
    #[arg(long, global = true, env = "WATCHHOUSE_CONTROLLER", value_name = "URL")]
    pub controller: Option<String>,
    /// The certificate authority that the controller's certificate must come from, PEM. No other is
    /// trusted.
    #[arg(long, global = true, env = "WATCHHOUSE_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A file that holds your token.
    #[arg(long, global = true, env = "WATCHHOUSE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For a person.
    Table,
    /// For a program: one JSON value; `audit` and `evidence watch` give one a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the sites.
    Sites,
    /// Enrols or revokes a site.
    #[command(subcommand)]
    Site(SiteCommand),
    /// Lists the cameras.
    Cameras {
        /// Of this site alone.
        #[arg(long)]
        site: Option<SiteId>,
    },
    /// Shows what is wrong with sites and cameras, problems first; ends with 6 if anything is.
    Health,
    /// Lists the transparency logs and who has witnessed them.
    Logs,
    /// Accounts of people and systems.
    #[command(subcommand)]
    People(PeopleCommand),
    /// From a request for footage to a verified bundle.
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Keeps footage beyond its 31 days.
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Erases footage before its 31 days, for a person's rights in their data: two people.
    #[command(subcommand)]
    Erasure(ErasureCommand),
    /// Shows who did what, when and why.
    Audit(AuditArgs),
    /// Checks a bundle, offline; ends with 1 if it is refused.
    Verify {
        /// The bundle's folder.
        folder: PathBuf,
        /// The authority's public key, PEM.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Prints shell completions.
    #[command(hide = true)]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Writes the man pages.
    #[command(hide = true)]
    Man {
        /// Into this folder.
        folder: PathBuf,
    },
}

/// Enrols or revokes a site.
#[derive(Debug, Subcommand)]
pub enum SiteCommand {
    /// Makes a one-time token with which a site's recorder enrols. Shown once.
    EnrolToken {
        /// The site.
        site: SiteId,
        /// How long the token lives, in hours; at most 168.
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=168))]
        hours: u32,
    },
    /// Ends the belief in one of a site's keys: what it signed counts only where witnesses had
    /// cosigned it by now.
    RevokeKey {
        /// The site.
        site: SiteId,
        /// The key, 16 hexadecimal digits, as its records name it.
        #[arg(long)]
        key: String,
        /// Why; kept in the audit trail.
        #[arg(long)]
        reason: String,
    },
    /// Ends a site's certificates at once.
    Revoke {
        /// The site.
        site: SiteId,
        /// Why; kept in the audit trail.
        #[arg(long)]
        reason: String,
    },
}

/// Accounts of people and systems.
#[derive(Debug, Subcommand)]
pub enum PeopleCommand {
    /// Adds an account and prints its token, once.
    Add {
        /// `t.okafor`
        person: PersonId,
        /// A role; may be given several times: requester, technician, authoriser, administrator, …
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
    },
    /// Lists accounts.
    List,
    /// Ends an account's token at once.
    Suspend {
        /// Whose.
        person: PersonId,
        /// Why; kept in the audit trail.
        #[arg(long)]
        reason: String,
    },
}

/// From a request for footage to a verified bundle.
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Asks for footage.
    Request(RequestArgs),
    /// Approves a request; never your own.
    Approve {
        /// The case.
        case: CaseId,
        /// Why the release is right; kept in the audit trail.
        #[arg(long)]
        reason: String,
    },
    /// Refuses a request.
    Refuse {
        /// The case.
        case: CaseId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Lists cases.
    List,
    /// Shows a case.
    Show {
        /// The case.
        case: CaseId,
    },
    /// Follows a case until it is bundled, refused or failed; ends with 3 unless it is bundled.
    Watch {
        /// The case.
        case: CaseId,
    },
    /// Fetches a case's bundle into a new folder or file.
    Fetch {
        /// The case.
        case: CaseId,
        /// The new folder, or the new file NAME.zip or NAME.zip.age; must not be there yet.
        #[arg(long, value_name = "PATH")]
        to: PathBuf,
        /// Who may open NAME.zip.age: an age recipient, age1…; may be given several times.
        #[arg(long = "recipient", value_name = "AGE1")]
        recipients: Vec<String>,
        /// The authority's public key, PEM: checks the bundle once it is here.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

/// What to ask for.
#[derive(Debug, ClapArgs)]
pub struct RequestArgs {
    /// SITE/CAMERA; may be given several times.
    #[arg(long = "camera", required = true)]
    pub cameras: Vec<CameraId>,
    /// From, with a zone or relative: 2026-11-21T14:03:00Z, -15m, `2h ago`.
    #[arg(long, value_parser = when::parse, allow_hyphen_values = true)]
    pub from: When,
    /// To; also `now`.
    #[arg(long, value_parser = when::parse, allow_hyphen_values = true)]
    pub to: When,
    /// The lawful purpose.
    #[arg(long, value_enum)]
    pub purpose: Purpose,
    /// Why, in words; kept in the audit trail.
    #[arg(long)]
    pub reason: String,
    /// The crime or incident it belongs to.
    #[arg(long, default_value = "")]
    pub crime_reference: String,
}

/// The purposes for which footage may be used. A closed list: that is how function creep stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// Prevention, investigation, detection of crime.
    Crime,
    /// Security of staff, visitors, premises.
    Security,
    /// Internal discipline or the IOPC.
    Misconduct,
    /// A person asks for footage of themselves.
    SubjectAccess,
    /// An insurance claim.
    Insurance,
}

impl Purpose {
    /// As the controller knows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crime => "crime",
            Self::Security => "security",
            Self::Misconduct => "misconduct",
            Self::SubjectAccess => "subject-access",
            Self::Insurance => "insurance",
        }
    }
}

/// Keeps footage beyond its 31 days.
#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// Places a hold.
    Place(PlaceArgs),
    /// Ends a hold, or all holds of an order.
    Release {
        /// The hold or the order.
        hold: HoldId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Lists holds.
    List {
        /// Released ones too.
        #[arg(long)]
        released: bool,
        /// Only those whose review date is over.
        #[arg(long)]
        due: bool,
    },
}

/// What to hold.
#[derive(Debug, ClapArgs)]
pub struct PlaceArgs {
    /// SITE/CAMERA; may be given again, up to 128 times. Each camera gets its own hold.
    #[arg(long = "camera", value_name = "CAMERA", required_unless_present = "site")]
    pub cameras: Vec<CameraId>,
    /// All cameras of this site.
    #[arg(long, conflicts_with = "cameras")]
    pub site: Option<SiteId>,
    /// From, as for `evidence request`.
    #[arg(long, value_parser = when::parse, allow_hyphen_values = true)]
    pub from: When,
    /// To.
    #[arg(long, value_parser = when::parse, allow_hyphen_values = true)]
    pub to: When,
    /// The lawful purpose.
    #[arg(long, value_enum)]
    pub purpose: Purpose,
    /// Why, in words.
    #[arg(long)]
    pub reason: String,
    /// The case it belongs to, if there is one.
    #[arg(long)]
    pub case: Option<CaseId>,
    /// The law that keeping rests on; left out: as the purpose has it.
    #[arg(long, value_enum)]
    pub basis: Option<Basis>,
    /// The MoPI review group; left out: 3, or 4 for purposes that are not policing.
    #[arg(long, value_name = "1-4", value_parser = clap::value_parser!(u8).range(1..=4))]
    pub mopi_group: Option<u8>,
    /// The day on which a person must look at it again, at the latest as the group has it.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = when::parse_day)]
    pub review: Option<WallTime>,
}

/// The law that keeping footage rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Basis {
    /// Criminal Procedure and Investigations Act 1996.
    Cpia,
    /// Data Protection Act 2018, Part 3, where CPIA does not reach.
    LawEnforcement,
    /// Police conduct or complaint.
    Misconduct,
    /// A person's rights in their data.
    DataRights,
    /// A claim made or defended.
    LegalClaim,
}

impl Basis {
    /// As the controller knows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpia => "cpia",
            Self::LawEnforcement => "law-enforcement",
            Self::Misconduct => "misconduct",
            Self::DataRights => "data-rights",
            Self::LegalClaim => "legal-claim",
        }
    }
}

/// Erases footage before its 31 days, for a person's rights in their data.
#[derive(Debug, Subcommand)]
pub enum ErasureCommand {
    /// Orders an erasure; another person must approve it. Refused where a hold keeps the footage.
    Order {
        /// SITE/CAMERA.
        #[arg(long)]
        camera: CameraId,
        /// From, as for `evidence request`.
        #[arg(long, value_parser = when::parse, allow_hyphen_values = true)]
        from: When,
        /// To. Segments go whole: up to a minute more on either side.
        #[arg(long, value_parser = when::parse, allow_hyphen_values = true)]
        to: When,
        /// Why, with the request's reference; kept in the audit trail.
        #[arg(long)]
        reason: String,
    },
    /// Approves an order; never your own.
    Approve {
        /// The order.
        order: OrderId,
        /// Why the erasure is right.
        #[arg(long)]
        reason: String,
    },
    /// Refuses an order, or takes it back.
    Refuse {
        /// The order.
        order: OrderId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Lists orders.
    List,
}

/// Which events.
#[derive(Debug, ClapArgs)]
pub struct AuditArgs {
    /// Of this case.
    #[arg(long)]
    pub case: Option<CaseId>,
    /// By this person, `system:NAME`, `site:NAME` or `controller`.
    #[arg(long)]
    pub actor: Option<String>,
    /// From, as for `evidence request`.
    #[arg(long, value_parser = when::parse, allow_hyphen_values = true)]
    pub from: Option<When>,
    /// To.
    #[arg(long, value_parser = when::parse, allow_hyphen_values = true)]
    pub to: Option<When>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_commands_are_sound_and_help_lists_the_exit_statuses() {
        Args::command().debug_assert();
        let help = Args::command().render_help().to_string();
        assert!(help.contains("refused by the evidence check") && help.contains("evidence"));
        assert!(!help.contains("completions"), "hidden");
    }

    #[test]
    fn a_request_reads_with_relative_times() {
        let args = parse(
            "watchhouse --output json evidence request --camera east/ext-01 --camera east/int-02 \
             --from -15m --to now --purpose subject-access --reason r --crime-reference C/1",
        )
        .unwrap();
        assert_eq!(args.output, Output::Json);
        let Command::Evidence(EvidenceCommand::Request(request)) = args.command else {
            panic!("another command")
        };
        assert_eq!((request.from, request.to), (When::Ago(900), When::Ago(0)));
        assert_eq!(request.cameras.len(), 2);
        assert_eq!(request.purpose.as_str(), "subject-access");
    }

    #[test]
    fn what_the_domain_does_not_know_is_a_usage_error() {
        let request = "watchhouse evidence request --from -1m --to now --reason r";
        for bad in [
            format!("{request} --camera ext-01 --purpose crime"),
            format!("{request} --camera east/ext-01 --purpose curiosity"),
            format!("{request} --purpose crime"),
            "watchhouse evidence show ../../x".to_owned(),
            "watchhouse evidence refuse WH-1".to_owned(),
            "watchhouse site enrol-token east --hours 169".to_owned(),
            "watchhouse people add t.okafor".to_owned(),
        ] {
            assert_eq!(parse(&bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}
