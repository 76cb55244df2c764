//! Lets a thread stand back behind all others at the disc.

/// Puts the calling thread into the idle I/O class: it reads when nobody else does. Where the kernel
/// knows no such class, or refuses, nothing changes.
#[expect(unsafe_code, reason = "no safe binding of ioprio_set exists")]
pub fn idle_io() {
    const WHO_PROCESS: libc::c_long = 1;
    const THIS_THREAD: libc::c_long = 0;
    const CLASS_IDLE: libc::c_long = 3 << 13;
    // SAFETY: the call takes three integers and changes only how the thread's requests are scheduled.
    let answer =
        unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, THIS_THREAD, CLASS_IDLE) };
    if answer != 0 {
        tracing::debug!("the thread stays in its I/O class");
    }
}
