//! Family `entries`: what stands in the site log's tree for a record, see [`custody::log::entry`].
//! Key: place as `u64`. Value: the entry's exact bytes. It outlives the record's body.

pub(crate) use super::entry::key;
