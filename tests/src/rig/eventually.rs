//! Wait until something is so. The only place of the harness that sleeps, and never without a
//! deadline and something to look at.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// How long between two looks. Short beside anything that is waited for, long beside a look.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What was waited for did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotYet {
    what: String,
    waited: Duration,
}

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waited {:?} and still not so: {}", self.waited, self.what)
    }
}

impl std::error::Error for NotYet {}

/// Looks again and again until `look` gives something; `what` says in words what is waited for.
///
/// # Errors
/// [`NotYet`], when `deadline` has passed; also when a single look takes that long.
pub async fn eventually<T, F>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T, NotYet>
where
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + deadline;
    while Instant::now() < end {
        if let Ok(Some(seen)) = timeout_at(end, look()).await {
            return Ok(seen);
        }
        sleep(LOOK_AGAIN).await;
    }
    Err(NotYet { what: what.to_owned(), waited: deadline })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_on_the_third_look_is_seen() {
        let mut looks = 0;
        let seen = eventually("the third look", Duration::from_secs(5), || {
            looks += 1;
            let now = looks;
            async move { (now == 3).then_some(now) }
        })
        .await;
        assert_eq!(seen, Ok(3));
    }

    #[tokio::test]
    async fn what_never_comes_is_named_even_when_a_look_hangs() {
        let short = Duration::from_millis(120);
        let never = eventually("a hung look", short, std::future::pending::<Option<()>>).await;
        let error = never.unwrap_err().to_string();
        assert_eq!(error, "waited 120ms and still not so: a hung look");
    }
}
