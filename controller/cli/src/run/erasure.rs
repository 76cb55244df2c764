//! `erasure`.

use proto::v1::erasures_client::ErasuresClient;
use proto::v1::{DecideErasureRequest, ListErasuresRequest, OrderErasureRequest};

use crate::args::{Args, ErasureCommand};
use crate::connect::connect;
use crate::failure::{Exit, Failure};
use crate::show;
use crate::show::erasure::Erasure;
use crate::when;

pub(super) async fn run(args: &Args, command: &ErasureCommand) -> Result<Exit, Failure> {
    let client = ErasuresClient::new(connect(&args.controller).await?);
    let mut client = client.max_decoding_message_size(proto::MESSAGE_BYTES_MAX);
    let erasures = match command {
        ErasureCommand::Order { camera, from, to, reason } => {
            let now = when::now();
            let order = OrderErasureRequest {
                camera: camera.to_string(),
                from_us: from.at(now).0,
                to_us: to.at(now).0,
                reason: reason.clone(),
            };
            vec![client.order(order).await?.into_inner()]
        }
        ErasureCommand::Approve { order, reason } => {
            let decide = DecideErasureRequest { order: order.to_string(), reason: reason.clone() };
            vec![client.approve(decide).await?.into_inner()]
        }
        ErasureCommand::Refuse { order, reason } => {
            let decide = DecideErasureRequest { order: order.to_string(), reason: reason.clone() };
            vec![client.refuse(decide).await?.into_inner()]
        }
        ErasureCommand::List => client.list(ListErasuresRequest {}).await?.into_inner().erasures,
    };
    let erasures: Vec<_> = erasures.into_iter().map(Erasure::from).collect();
    show::list(args.output, &erasures)?;
    Ok(Exit::Done)
}
