//! The service `Holds`, and what health says of holds.

use std::collections::BTreeMap;

use custody::{HoldId, SiteId, WallTime};
use proto::v1;
use proto::v1::holds_server::Holds;
use tonic::{Request, Response, Status};

use super::convert;
use super::door::{Door, Parts, name};
use crate::access::{Act, Object};
use crate::evidence::hold::warning::{self, SiteIs};
use crate::evidence::{HoldEntry, HoldState};
use crate::ledger::{Command, Event};
use crate::limits;

/// Footage kept beyond its time.
pub struct HoldsService(pub Door);

impl HoldsService {
    fn shown(&self, is_shown: impl Fn(&HoldEntry) -> bool) -> Vec<v1::Hold> {
        let parts = self.0.parts();
        let (sites, now) = (Sites::of(parts), parts.ledger.clock().now());
        parts.ledger.read(|state| {
            let holds = state.evidence.holds().filter(|hold| is_shown(hold));
            let shown = holds.map(|hold| {
                let site = sites.is(hold.camera.site());
                let copying = [&parts.copies, &parts.guests].map(|book| book.of(&hold.id));
                convert::hold(hold, site, &copying, now)
            });
            shown.collect()
        })
    }

    fn those(&self, ids: &[HoldId]) -> Response<v1::ListHoldsResponse> {
        Response::new(v1::ListHoldsResponse { holds: self.shown(|hold| ids.contains(&hold.id)) })
    }
}

/// Which sites are away, and since when.
struct Sites(BTreeMap<SiteId, Option<WallTime>>);

impl Sites {
    fn of(parts: &Parts) -> Self {
        let presence = parts.fleet.presence();
        let is_here = |site: &SiteId| presence.get(site).is_some_and(|it| it.connected);
        let away = parts.ledger.read(|state| {
            let sites = state.registry.sites().filter(|(site, _)| !is_here(site));
            sites.map(|(site, entry)| (site.clone(), entry.last_change)).collect()
        });
        Self(away)
    }

    fn is(&self, site: &SiteId) -> SiteIs {
        self.0.get(site).map_or(SiteIs::Here, |since| SiteIs::Away(*since))
    }
}

/// What people must see to about holds: the first so many, and how many more there are.
pub(super) fn warnings(parts: &Parts) -> Vec<v1::HoldWarning> {
    let (sites, now) = (Sites::of(parts), parts.ledger.clock().now());
    let shown_since = now.plus_seconds(-limits::HOLD_TROUBLE_SHOWN_S);
    let mut warnings: Vec<_> = parts.ledger.read(|state| {
        let holds = state.evidence.holds();
        let found = holds.filter_map(|hold| {
            let warning = warning::of(hold, sites.is(hold.camera.site()), now)?;
            // What is refused or lost stays so: it is told for a week.
            let is_news = hold.state == HoldState::Ordered || hold.ordered_at >= shown_since;
            (is_news || hold.is_due(now)).then(|| v1::HoldWarning {
                object: format!("{} {}", hold.id, hold.camera),
                problem: warning.problem.to_owned(),
                detail: warning.detail,
            })
        });
        found.collect()
    });
    let more = warnings.len().saturating_sub(limits::HOLD_WARNINGS_MAX);
    warnings.truncate(limits::HOLD_WARNINGS_MAX);
    if more > 0 {
        warnings.push(v1::HoldWarning {
            object: "holds".to_owned(),
            problem: "hold-review-due".to_owned(),
            detail: format!("{more} more holds need attention: watchhouse hold list"),
        });
    }
    for (site, presence) in parts.fleet.presence() {
        let alarms = presence.report.map(|report| report.alarms).unwrap_or_default();
        let near = alarms.into_iter().filter(|alarm| alarm.code == "hold-budget-near");
        warnings.extend(near.map(|alarm| v1::HoldWarning {
            object: site.to_string(),
            problem: "hold-budget".to_owned(),
            detail: alarm.text,
        }));
    }
    warnings
}

#[tonic::async_trait]
impl Holds for HoldsService {
    async fn place(
        &self,
        request: Request<v1::PlaceHoldOrder>,
    ) -> Result<Response<v1::ListHoldsResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        let order = match convert::hold_order(request.get_ref()) {
            Ok(order) => order,
            Err(refusal) => return Err(self.0.refuse(&actor, Act::PlaceHold, refusal).await),
        };
        let events = self.0.send(actor, Command::PlaceHold(order)).await?;
        let ordered = events.iter().filter_map(|event| match event {
            Event::HoldOrdered(ordered) => Some(ordered.hold.clone()),
            _ => None,
        });
        Ok(self.those(&ordered.collect::<Vec<_>>()))
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseHoldOrder>,
    ) -> Result<Response<v1::ListHoldsResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        let v1::ReleaseHoldOrder { hold, reason } = request.into_inner();
        let hold: HoldId = match name(&hold) {
            Ok(hold) => hold,
            Err(refusal) => return Err(self.0.refuse(&actor, Act::ReleaseHold, refusal).await),
        };
        let events = self.0.send(actor, Command::ReleaseHold { hold, reason }).await?;
        let released = events.iter().filter_map(|event| match event {
            Event::HoldReleaseOrdered(ordered) => Some(ordered.hold.clone()),
            _ => None,
        });
        Ok(self.those(&released.collect::<Vec<_>>()))
    }

    async fn list(
        &self,
        request: Request<v1::ListHoldsRequest>,
    ) -> Result<Response<v1::ListHoldsResponse>, Status> {
        let actor = self.0.actor(&request).await?;
        self.0.permit(&actor, Act::SeeHolds, Object::Estate).await?;
        let v1::ListHoldsRequest { with_released, due_only } = request.into_inner();
        let now = self.0.parts().ledger.clock().now();
        let is_shown = |hold: &HoldEntry| {
            let stands = with_released || hold.state != HoldState::Released;
            stands && (!due_only || hold.is_due(now))
        };
        Ok(Response::new(v1::ListHoldsResponse { holds: self.shown(is_shown) }))
    }
}
