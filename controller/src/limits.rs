//! Every limit of the controller, each with its arithmetic. A limit that is not here does not exist.

use std::time::Duration;

/// Footage is never kept longer, at any site: the force's rule. Requests that begin earlier find
/// nothing, unless a hold kept it.
pub const RETENTION_S: i64 = 31 * 24 * 3600;

/// One request: a camera-day of 64 cameras is about 64 × 24 h × 4 Mbit/s = 2.8 TB, a night's pull
/// over a gigabit line. Longer needs are several requests, each with its own reason.
pub const REQUEST_SPAN_S_MAX: i64 = 24 * 3600;
/// As the proto says; the largest site has 71.
pub const REQUEST_CAMERAS_MAX: usize = 64;

/// One order of holds names at most so many: the largest site has 71. Each is an event of one append,
/// which has room for 130.
pub const HOLD_CAMERAS_MAX: usize = 128;
/// Held footage is copied into the vault at this rate a site, bytes a second: a tenth of a gigabit
/// line, behind the pulls of cases. A night brings 400 GB.
pub const COPY_BYTES_PER_SECOND: u64 = 12_000_000;
/// Sealed files asked for at once in copying: 8 minutes of one camera, after which a case's pull may
/// come first.
pub const COPY_FILES: usize = 8;
/// Holds copied or cleared at once; more wait their turn.
pub const COPIES_AT_ONCE: usize = 2;
/// Copying stops while less than this is free where the vault lies: bundles must be made.
pub const VAULT_RESERVE_BYTES: u64 = 2 << 30;
/// Other sites named for held footage, tried in order: two are enough, four are the force of today.
pub const ALSO_AT_SITES: usize = 8;
/// Copies of holds sent to other sites, looked at or deleted there at once; more wait their turn.
pub const GUESTS_AT_ONCE: usize = 2;
/// One piece of a file that is sent to another site: a message is at most 1 MiB. Each is answered
/// before the next goes, so that over a line of 20 ms there and back 25 MB/s may go.
pub const GUEST_PIECE_BYTES: usize = 512 << 10;
/// Files that one question deletes at another site, as the wire allows.
pub const GUESTS_A_DROP: usize = 512;
/// Pages of a list of such files of one camera: 16,384 files each, in all 90 days of minutes.
pub const GUEST_PAGES: usize = 8;
/// A copy that is whole in the vault and at another site is looked at again so often, milliseconds:
/// what one of them has lost comes from the other. A thousand holds of 60 files are 60,000 looks.
pub const GUEST_LOOK_MS: u64 = 3_600_000;
/// Waiting holds, late or refused ones are shown among the troubles of health for so long.
pub const HOLD_TROUBLE_SHOWN_S: i64 = 7 * 24 * 3600;
/// Holds named among the troubles of health; the rest are counted.
pub const HOLD_WARNINGS_MAX: usize = 50;

/// Reasons and references, in characters: a paragraph, not a report.
pub const TEXT_CHARS_MAX: usize = 1000;
/// A reason has at least this many characters that are not blank.
pub const REASON_CHARS_MIN: usize = 3;

/// A site announces at most this many cameras: seven times the largest site of today.
pub const SITE_CAMERAS_MAX: usize = 500;
/// Certificates of a site that are valid at once: the present one and its successor.
pub const SITE_SERIALS_MAX: usize = 2;

/// Logs of one site: one for each time its index was lost. Four a year for sixteen years.
pub const LOGS_A_SITE: usize = 64;
/// Keys of a log or witness that count: one a year for sixteen years.
pub const NAMED_KEYS: usize = 16;
/// Lines about revoked keys of a site, one a key: each grant carries them all, 200 bytes each,
/// 100 kB.
pub const REVOKED_KEYS: usize = 512;
/// Proofs of contradictions that are kept, at most 2 MiB each. Beyond that the event stands alone:
/// a site that contradicts itself a thousand times needs people, not more proof.
pub const FORK_PROOFS: usize = 1000;

/// Other sites that witness a log. With the four of today each is witnessed by all others; with
/// 1,000 each still answers for three logs and not for 999.
pub const SITE_WITNESSES: usize = 3;
/// Outside witnesses that may be configured; each log asks all of them.
pub const OUTSIDE_WITNESSES: usize = 8;
/// A round of witnessing begins this often while a log grows. 1,000 sites ask 3 witnesses each: 1,500
/// questions a second of 1 kB over links that stand, 12 Mbit/s at the controller.
pub const WITNESS_EVERY: Duration = Duration::from_secs(2);
/// Questions to witnesses under way at once; more wait their turn. A site on a slow line answers in
/// 100 ms, so 128 at once are 1,280 a second.
pub const WITNESS_AT_ONCE: usize = 128;
/// A witness that failed is left alone so long, then twice as long each time.
pub const WITNESS_PAUSE: Duration = Duration::from_secs(2);
/// And at most so long.
pub const WITNESS_PAUSE_MAX: Duration = Duration::from_secs(300);
/// A question to a witness that takes longer has failed.
pub const WITNESS_CALL: Duration = Duration::from_secs(10);
/// A bundle waits so long for a quorum-cosigned checkpoint that covers its records; then it is made
/// with what there is. Fifteen rounds.
pub const WITNESS_WAIT: Duration = Duration::from_secs(30);
/// A log of which something has not been cosigned by enough witnesses for so long is an alarm: a
/// site's line may be down for a minute without one.
pub const WITNESS_LATE_S: i64 = 300;
/// One quorum-cosigned note of each log is kept in this time, so that a record's not-after bound is
/// at most that loose. A note has 600 bytes: four sites and the controller keep 5 × 1440 × 40 days ×
/// 600 = 173 MB, 1,000 sites 35 GB, in the store's compression a third of it.
pub const NOTE_EVERY_S: i64 = 60;
/// Notes older than this, beyond which only held footage remains, are thinned …
pub const NOTES_DENSE_S: i64 = 40 * 24 * 3600;
/// … to one in this time: in ten years 88,000 a log, 53 MB.
pub const NOTE_THIN_S: i64 = 3600;
/// Notes looked at in one pass of thinning a log; the next pass goes on.
pub const NOTES_A_PASS: usize = 4096;
/// Notes of other logs handed to a site at a time, as the wire allows.
pub const NOTES_HANDED: usize = 8;
/// Checkpoints are stamped this often where a time-stamping authority is configured.
pub const STAMP_EVERY_S: i64 = 3600;
/// Stamps named in one event: 64 × 350 bytes = 22 kB. 1,000 sites make 16 events an hour.
pub const STAMPS_AN_EVENT: usize = 64;

/// An enrolment token lives this long unless said otherwise.
pub const ENROLMENT_S: u32 = 24 * 3600;
/// And at most so long.
pub const ENROLMENT_S_MAX: u32 = 7 * 24 * 3600;

/// A command that loses the race for its stream this often is refused as `busy`.
pub const RACES_MAX: usize = 8;
/// Entries read from the log at a time: about 1 MB.
pub const READ_ENTRIES: usize = 2048;
/// Events of one command: an approval orders one hold a camera, and the approval itself.
pub const APPEND_EVENTS_MAX: usize = 2 * REQUEST_CAMERAS_MAX + 2;

/// Refused tokens are logged at most so often a minute; a flood of guesses must not fill the log.
/// The rest is counted in the next one that is logged.
pub const UNKNOWN_TOKENS_LOGGED_A_MINUTE: u32 = 10;

/// Without a signal the reconciler looks this often whether all is as it should be.
pub const RECONCILE_EVERY: Duration = Duration::from_secs(5);
/// Work that failed outside begins again only after this.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A case whose try failed (a broken link, the controller's disc) pauses so long, then twice as long
/// each time: a passing fault costs seconds.
pub const TROUBLE_PAUSE: Duration = Duration::from_secs(5);
/// And at most so long: a full disc is made good by people, who need not wait longer to see it.
pub const TROUBLE_PAUSE_MAX: Duration = Duration::from_secs(300);
/// Cases whose released keys are kept until their bundle is made: four times those worked on at
/// once. At most 16 × 64 cameras × 1440 keys × 32 bytes = 47 MB.
pub const CASES_WITH_KEYS: usize = 16;
/// Keys asked for in one call, each of which is one transfer record: as the wire allows.
pub const KEYS_A_RELEASE: usize = 512;
/// Cases worked on at once; more wait their turn. Four sites, each with one pull.
pub const CASES_AT_ONCE: usize = 4;
/// Holds placed or ended at once; more wait their turn. One 64-camera case takes four rounds.
pub const HOLDS_AT_ONCE: usize = 16;
/// When the chain of a camera still does not reach the interval's end this long after it, the case
/// goes on with what there is: segments are a minute, and agents sign gaps every minute.
pub const CHAIN_WAIT_S: i64 = 600;

/// Bytes of one piece of a file that is fetched.
pub const PIECE_BYTES: usize = 256 * 1024;
/// Pieces ready before the client takes them: 1 MiB a client. A slow client waits; nothing is lost.
pub const PIECES_WAITING: usize = 4;
/// Audit entries ready before the client takes them.
pub const AUDIT_WAITING: usize = 256;
/// Files in a bundle: 64 cameras × 1440 minutes × 6 files (init, fragments, disclosed, proof, foreign
/// note, view's share), keys and stamps, and 1,000 others.
pub const BUNDLE_FILES_MAX: usize = 64 * 1440 * 6 + 10_000;

/// API connections at once, those in their handshake among them; more are closed unheard. A control
/// room of 20 people with 4 clients each and 50 systems is 130. Each may hold 32 calls of at most
/// 1 MiB that wait (see [`PIECES_WAITING`]), so all of them at their worst 8 GiB; a dozen that fetch
/// bundles at once, 12 MiB.
pub const API_CONNECTIONS: usize = 256;
/// Calls that one API connection may have open.
pub const CALLS_A_CONNECTION: usize = 32;
/// API calls in all; a call beyond is told `busy`.
pub const STREAMS_A_CONNECTION: u32 = 64;
/// A call that has not been answered in this time ends. Streams end by themselves.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// TLS connections without a word are asked whether they live, and dropped.
pub const API_KEEPALIVE: Duration = Duration::from_secs(20);
/// How long shutdown waits for tasks.
pub const SHUTDOWN: Duration = Duration::from_secs(10);
