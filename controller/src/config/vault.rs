//! `[vault]`: where held footage lies besides its own site and the vault.

use std::collections::BTreeSet;

use custody::SiteId;
use host::settings::Section;

use crate::limits;

/// The other sites, in the order in which they are tried.
pub(super) fn also_at(section: &mut Section<'_>) -> Option<Vec<SiteId>> {
    let names = section.texts("also_at");
    if names.len() > limits::ALSO_AT_SITES {
        section.object("also_at", format!("at most {} sites", limits::ALSO_AT_SITES));
        return None;
    }
    let (mut sites, mut known) = (Vec::new(), BTreeSet::new());
    for name in names {
        match name.parse::<SiteId>() {
            Ok(site) if known.insert(site.clone()) => sites.push(site),
            Ok(site) => section.object("also_at", format!("{site} stands twice")),
            Err(error) => section.object("also_at", error),
        }
    }
    (sites.len() == known.len()).then_some(sites)
}
