//! Every bound of the agent, each with its arithmetic.
//!
//! Reckoned for a site of 67 cameras at 5 Mbit/s and segments of a minute: 67 segments and 2.5 GB a
//! minute, 96 480 segments a day, 3 million in 31 days.

/// A segment is at most an hour: one that reaches into an interval began at most this much earlier,
/// which bounds every look-up by time.
pub const SEGMENT_US_MAX: i64 = 3_600_000_000;

/// A segment file is at most this long, so that recovery reads it into memory: 14 minutes at
/// 5 Mbit/s, or a minute at 70 Mbit/s.
pub const SEGMENT_BYTES_MAX: u64 = 512 << 20;

/// A segment that starts this little after its predecessor's end is taken to continue it: one frame
/// at 10 frames a second.
pub const START_SNAP_US: i64 = 100_000;

/// A segment that starts this little before its predecessor's end is moved up to it: what a
/// camera's clock drifts between two anchors, and one GOP of 2 s.
pub const START_CLAMP_US: i64 = 2_000_000;

/// Words in a gap's detail: a line on a screen, and far below the envelope's limit.
pub const DETAIL_CHARS_MAX: usize = 200;

/// Links in one answer to find: an answer travels in one message of 8 MiB, a signed segment is
/// 2.2 kB, and 3 000 links are two days and two hours of minutes.
pub const FIND_LINKS_MAX: usize = 3_000;

/// Bytes of envelopes in one answer to find: 8 MiB less 1 MiB for certificates and the rest.
pub const FIND_BYTES_MAX: usize = 7 << 20;

/// Key certificates in one answer to find: a day has one key and each start another, so a span of 3 000
/// minutes has three and whatever restarts there were; the rest are in the copied log. 300 kB.
pub const FIND_KEY_CERTS_MAX: usize = 256;

/// Holds at a site: one hold names one camera; 67 cameras in 60 cases at once is 4 020. All are in
/// memory, 300 bytes each.
pub const HOLDS_MAX: usize = 10_000;

/// Held footage may take this part of the disc, per cent, unless the settings say otherwise: 31 days
/// fill the rest, and a fifth holds six days of all cameras.
pub const HOLD_BUDGET_PERCENT: u8 = 20;
/// From this part of its budget on, per cent, held footage is an alarm.
pub const HOLD_BUDGET_ALARM_PERCENT: u64 = 80;
/// Held bytes are counted anew this often, milliseconds: 10 000 holds of an hour are 600 000 links,
/// a second or two of reading.
pub const HELD_RECOUNT_MS: u64 = 3_600_000;
/// One piece of a file of another site's held footage: a message is at most 1 MiB.
pub const GUEST_PIECE_BYTES_MAX: usize = (1 << 20) - (4 << 10);
/// Such files in one answer that lists them, of 40 bytes each: 11 days of one camera's minutes.
pub const GUESTS_LISTED_MAX: usize = 16_384;
/// Such files that one question deletes: 8 hours of one camera, and less than a second of unlinking.
pub const GUESTS_DROPPED_MAX: usize = 512;
/// Footage waits beyond its age for holds that are on their way at most so long, milliseconds: half
/// of [`LATE_US`], and a hundred reports.
pub const HOLD_GRACE_MS: u64 = 300_000;

/// Segments that one step of a sweep erases: what one erase record names at most.
pub const ERASE_STEP_SEGMENTS: usize = custody::record::ERASED_MAX;

/// Segments that one sweep looks at: 16 records' worth. At a sweep every 20 s that is 24 576 a
/// minute where 67 fall due: the backlog of a month's outage is gone in two hours.
pub const SWEEP_SEGMENTS_MAX: usize = 16 * ERASE_STEP_SEGMENTS;

/// Seconds between sweeps: a third of the minute to which erasure is promised.
pub const SWEEP_SECONDS: u64 = 20;

/// Unheld footage this much over its time is an alarm: ten minutes are thirty sweeps.
pub const LATE_US: i64 = 600_000_000;

/// A sweep that has not finished for this long is an alarm: fifteen sweeps.
pub const SWEEP_OVERDUE_MS: u64 = 300_000;

/// Seconds between two looks of retention's watchdog: two looks lie within the ten minutes above. One
/// look reads two or three rows a camera, and the tallies in memory.
pub const WATCHDOG_SECONDS: u64 = 60;

/// The index's write buffers in all: 3 kB a segment, 67 a minute, flushed every few hours.
pub const INDEX_WRITE_BUFFER_BYTES: usize = 32 << 20;

/// The index's block cache in all.
pub const INDEX_CACHE_BYTES: usize = 32 << 20;

/// The index's write-ahead log: read again at a start after a crash, so it bounds that start.
pub const INDEX_LOG_BYTES_MAX: u64 = 64 << 20;

/// Table files that the index keeps open, of the 1 024 that a process has.
pub const INDEX_FILES_MAX: i32 = 256;

/// Hours that a key ring holds: 31 days are 745; thirty years of an hour held in each are 262 800.
pub const HOURS_MAX: usize = 1 << 18;

/// Bytes of the survivors' keys of one hour: 512 cameras in segments of 2 s are 921 600 of 110 bytes.
pub const KEPT_BYTES_MAX: u64 = 128 << 20;

/// Keys of hours whose footage is gone wait this long for others to go with them, milliseconds: half
/// an hour is half of the rhythm in which hours fall due.
pub const ROTATION_PAUSE_MS: u64 = 1_800_000;

/// Keys of footage erased out of an hour that lives on go after this long, microseconds.
pub const RESIDUE_US: i64 = 3_600_000_000;

/// Orders wait this long for each other, milliseconds: each rotation wears the token.
pub const ORDER_PAUSE_MS: u64 = 60_000;

/// Bytes that the index's flushes and compactions write a second: recording adds 70 kB a second, and
/// a disc that writes 150 MB a second keeps half for footage.
pub const INDEX_COMPACTION_BYTES_PER_SECOND: i64 = 64 << 20;

/// Segments of one camera that move to the second disc in one step: one synced batch for each of three
/// turns, and half a gigabyte at 5 Mbit/s.
pub const TIER_GROUP_SEGMENTS: usize = 16;

/// Rows that a step of moving looks at.
pub const TIER_LOOK_SEGMENTS: usize = 512;

/// Steps in one turn: 8 192 segments, of which 67 a minute fall due.
pub const TIER_STEPS_MAX: usize = 16;

/// Seconds between turns.
pub const TIER_SECONDS: u64 = 10;

/// Footage younger than two hours never moves: the hour being written, and the one before it.
pub const TIER_YOUNGEST_US: i64 = 2 * 3_600_000_000;

/// A block of the site log: ten packed records, read and unpacked in 30 us.
pub const INDEX_LOG_BLOCK_BYTES: usize = 16 << 10;
