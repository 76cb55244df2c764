//! What processes and cores have used so far, by `proc(5)`.

use std::fs;

use anyhow::{Context as _, Result};

/// USER_HZ is 100 on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// One process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// User and system time of all its threads.
    pub(super) cpu_s: f64,
    /// System time alone.
    pub(super) system_s: f64,
    /// Memory that is its own or shared, now.
    pub(super) rss_bytes: u64,
    /// The most that it ever was.
    pub(super) rss_max_bytes: u64,
}

impl Usage {
    pub(super) fn of(process: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        let (_, after_name) = stat.rsplit_once(')').context("stat without a name")?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let seconds = |at: usize| -> Result<f64> {
            let field = fields.get(at).context("stat is too short")?;
            Ok(f64::from(field.parse::<u32>()?) / TICKS_PER_SECOND)
        };
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let bytes = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            Ok(number.with_context(|| format!("status without {name}"))?.parse::<u64>()? * 1024)
        };
        let (user_s, system_s) = (seconds(11)?, seconds(12)?);
        Ok(Self {
            cpu_s: user_s + system_s,
            system_s,
            rss_bytes: bytes("VmRSS:")?,
            rss_max_bytes: bytes("VmHWM:")?,
        })
    }
}

/// One core, in ticks since the machine started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Core {
    idle: f64,
    waiting: f64,
    all: f64,
}

impl Core {
    pub(super) fn of(core: usize) -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let name = format!("cpu{core} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name));
        let line = line.with_context(|| format!("there is no core {core}"))?;
        // user nice system idle iowait irq softirq steal; what follows is in these already.
        let ticks: Vec<f64> =
            line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>()?;
        let at = |field: usize| ticks.get(field).copied().unwrap_or(0.0);
        Ok(Self { idle: at(3), waiting: at(4), all: ticks.iter().sum() })
    }

    /// Which part of the time it worked, for whomever.
    pub(super) fn busy_since(&self, before: &Self) -> f64 {
        let all = (self.all - before.all).max(1.0);
        1.0 - (self.idle - before.idle + self.waiting - before.waiting) / all
    }

    /// Which part of the time it had nothing to do but a disc to wait for.
    pub(super) fn waiting_since(&self, before: &Self) -> f64 {
        (self.waiting - before.waiting) / (self.all - before.all).max(1.0)
    }
}
