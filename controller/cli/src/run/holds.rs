//! `hold`.

use proto::v1::holds_client::HoldsClient;
use proto::v1::{ListHoldsRequest, PlaceHoldOrder, ReleaseHoldOrder};

use crate::args::{Args, HoldCommand, PlaceArgs};
use crate::connect::connect;
use crate::failure::{Exit, Failure};
use crate::show;
use crate::show::cases::Hold;
use crate::when;

pub(super) async fn run(args: &Args, command: &HoldCommand) -> Result<Exit, Failure> {
    let client = HoldsClient::new(connect(&args.controller).await?);
    let mut client = client.max_decoding_message_size(proto::MESSAGE_BYTES_MAX);
    let holds = match command {
        HoldCommand::Place(place) => client.place(order(place)).await?.into_inner().holds,
        HoldCommand::Release { hold, reason } => {
            let order = ReleaseHoldOrder { hold: hold.to_string(), reason: reason.clone() };
            client.release(order).await?.into_inner().holds
        }
        HoldCommand::List { released, due } => {
            let request = ListHoldsRequest { with_released: *released, due_only: *due };
            client.list(request).await?.into_inner().holds
        }
    };
    let holds: Vec<_> = holds.into_iter().map(Hold::from).collect();
    show::list(args.output, &holds)?;
    Ok(Exit::Done)
}

fn order(place: &PlaceArgs) -> PlaceHoldOrder {
    let now = when::now();
    PlaceHoldOrder {
        cameras: place.cameras.iter().map(ToString::to_string).collect(),
        site: place.site.as_ref().map(ToString::to_string).unwrap_or_default(),
        from_us: place.from.at(now).0,
        to_us: place.to.at(now).0,
        purpose: place.purpose.as_str().to_owned(),
        reason: place.reason.clone(),
        case_ref: place.case.as_ref().map(ToString::to_string).unwrap_or_default(),
        basis: place.basis.map(|basis| basis.as_str().to_owned()).unwrap_or_default(),
        mopi_group: place.mopi_group.unwrap_or_default().into(),
        review_us: place.review.map_or(0, |at| at.0),
    }
}
