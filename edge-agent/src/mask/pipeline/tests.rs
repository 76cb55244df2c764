//! The thread between its queues.
