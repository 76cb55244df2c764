//! `evidence fetch`: a bundle into a folder, and checked if a key is given; or into one file,
//! encrypted to whom it is for.

use std::path::Path;

use custody::CaseId;
use proto::v1::evidence_client::EvidenceClient;
use proto::v1::{FetchRequest, FilePiece};

use super::evidence::bar;
use super::verify;
use crate::args::Output;
use crate::connect::Connection;
use crate::failure::{Exit, Failure};
use crate::parcel::{self, Form, Parcel};
use crate::receive::Arrival;
use crate::show;

/// What to fetch, and where to.
pub(super) struct Wish<'a> {
    pub(super) case: &'a CaseId,
    pub(super) to: &'a Path,
    pub(super) recipients: &'a [String],
    pub(super) key: Option<&'a Path>,
}

/// Where the pieces go.
enum Place {
    Folder(Arrival),
    File(Box<Parcel>),
}

impl Place {
    fn begin(wish: &Wish<'_>) -> Result<Self, Failure> {
        match Form::of(wish.to, wish.recipients, wish.key.is_some())? {
            Form::Folder => Arrival::begin(wish.to).map(Self::Folder),
            Form::Zip => Self::parcel(wish, Path::new("")),
            Form::Sealed => Self::parcel(wish, &parcel::sealer(wish.recipients)?),
        }
    }

    fn parcel(wish: &Wish<'_>, sealer: &Path) -> Result<Self, Failure> {
        let parcel = Parcel::begin(wish.to, wish.case, wish.recipients, sealer)?;
        Ok(Self::File(Box::new(parcel)))
    }

    fn take(&mut self, piece: &FilePiece) -> Result<u64, Failure> {
        match self {
            Self::Folder(arrival) => arrival.take(piece),
            Self::File(parcel) => parcel.take(piece),
        }
    }

    fn finish(self) -> Result<u64, Failure> {
        match self {
            Self::Folder(arrival) => arrival.finish(),
            Self::File(parcel) => parcel.finish(),
        }
    }
}

pub(super) async fn run(
    output: Output,
    client: &mut EvidenceClient<Connection>,
    wish: &Wish<'_>,
) -> Result<Exit, Failure> {
    let Wish { case, to, .. } = wish;
    // Both before anything is fetched: a fetch is logged as a disclosure.
    let key = wish.key.map(verify::read_key).transpose()?;
    let mut place = Place::begin(wish)?;
    let request = FetchRequest { case_ref: case.to_string() };
    let mut pieces = client.fetch(request).await?.into_inner();
    let bar = bar();
    while let Some(piece) = pieces.message().await? {
        bar.set_length(piece.bundle_bytes);
        bar.set_position(place.take(&piece)?);
    }
    let bytes = place.finish()?;
    bar.finish_and_clear();
    if let Some(key) = key {
        return verify::check(output, to, &key);
    }
    match output {
        Output::Table => {
            let size = show::size_text(bytes);
            let check = match Form::of(to, wish.recipients, false)? {
                Form::Folder => format!("watchhouse verify {} --key FILE", to.display()),
                Form::Zip | Form::Sealed => "unpack it, then watchhouse verify".to_owned(),
            };
            show::print(&format!(
                "{case} is in {}, {size}, not yet checked: {check}",
                to.display()
            ))?;
        }
        Output::Json => show::json(&serde_json::json!({
            "case": case.to_string(), "folder": to.to_string_lossy(), "bytes": bytes,
        }))?,
    }
    Ok(Exit::Done)
}
