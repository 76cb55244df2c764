//! Opens one sealed segment into its plain fragments, and checks each against the signed record on
//! the way: a sealed file that is not as signed never becomes part of a bundle.

use std::fs;

use custody::fragment::{self, Disclosed};
use custody::manifest::Segment;
use custody::sealed::{INIT_INDEX, SealedFragment, SealedSegment};
use custody::sealing::SegmentSealer;
use custody::{Code, Digest, Refusal, bundle, tree};

use super::bag::Bag;
use super::movie::Movie;
use super::{BundleError, SegmentPart, io_error, not_as_signed};

/// A sealed file is read whole. A minute at 60 Mbit/s, the most that a camera of ours sends, is
/// 450 MB.
const SEALED_BYTES_MAX: u64 = 512 << 20;

/// Writes the segment's masters and adds its frames to the movie.
pub(super) fn write(
    segment: &Segment,
    part: &SegmentPart,
    movie: &mut Movie,
    bag: &mut Bag,
) -> Result<(), BundleError> {
    let path = &part.sealed_path;
    let refused = not_as_signed(segment);
    let media =
        |why: String| BundleError::Media { camera: segment.camera.clone(), seq: segment.seq, why };
    let length = fs::metadata(path).map_err(io_error("read", path))?.len();
    if length > SEALED_BYTES_MAX {
        return Err(refused(Refusal::new(Code::SealedMalformed, "the file is over 512 MiB")));
    }
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    let sealed = SealedSegment::read(&bytes).map_err(&refused)?;
    check(segment, &sealed).map_err(&refused)?;
    let sealer = SegmentSealer::new(&part.key, &segment.camera, segment.seq);

    let init = open_init(segment, &sealed, &sealer).map_err(&refused)?;
    movie.begin_segment(&init).map_err(media)?;
    bag.payload(&bundle::init(&segment.camera, segment.seq), &init)?;

    let mut master = bag.begin(bundle::master(&segment.camera, segment.seq))?;
    let mut disclosed = Vec::with_capacity(sealed.fragments.len());
    let mut offset = 0;
    for fragment in &sealed.fragments {
        let (one, plain) = open(fragment, &sealer).map_err(&refused)?;
        movie.add(segment.seq, &one.info, offset, &plain).map_err(media)?;
        master.write(&plain)?;
        offset += one.bytes;
        disclosed.push(one);
    }
    bag.end(master)?;
    let json = serde_json::to_vec(&disclosed).expect("disclosed fragments have a JSON form");
    bag.payload(&bundle::disclosed(&segment.camera, segment.seq), &json)
}

/// The sealed file is whole, of this place, and leads to the signed root.
fn check(segment: &Segment, sealed: &SealedSegment<'_>) -> Result<(), Refusal> {
    let header = &sealed.header;
    if header.camera != segment.camera || header.seq != segment.seq {
        return Err(Refusal::new(
            Code::RecordMisplaced,
            format!("the file is segment {} of {}", header.seq, header.camera),
        ));
    }
    if sealed.fragments.len() as u64 != u64::from(segment.fragments.count) {
        return Err(Refusal::new(
            Code::SegmentTruncated,
            format!(
                "the file holds {} fragments, {} are signed",
                sealed.fragments.len(),
                segment.fragments.count
            ),
        ));
    }
    if tree::root(&sealed.leaves()) != segment.fragments.root {
        return Err(Refusal::new(Code::FragmentAltered, "the file does not lead to the root"));
    }
    Ok(())
}

fn open_init(
    segment: &Segment,
    sealed: &SealedSegment<'_>,
    sealer: &SegmentSealer,
) -> Result<Vec<u8>, Refusal> {
    let missing = || Refusal::new(Code::SegmentTruncated, "the file has no init section");
    let mut init = sealed.init.ok_or_else(missing)?.to_vec();
    sealer.open(INIT_INDEX, &mut init)?;
    if Digest::of(&init) == segment.init_sha256 {
        Ok(init)
    } else {
        Err(Refusal::new(Code::InitAltered, "the init section is not the signed one"))
    }
}

fn open(
    fragment: &SealedFragment<'_>,
    sealer: &SegmentSealer,
) -> Result<(Disclosed, Vec<u8>), Refusal> {
    let index = fragment.info.index;
    let mut plain = fragment.sealed.to_vec();
    sealer.open(index, &mut plain)?;
    let salt = sealer.salt(index);
    if fragment::plain_commit(&salt, Digest::of(&plain)) != fragment.plain_commit {
        return Err(Refusal::new(
            Code::FragmentAltered,
            format!("fragment {index} is not what its commitment says"),
        ));
    }
    let disclosed = Disclosed {
        info: fragment.info,
        bytes: plain.len() as u64,
        salt: Digest(salt),
        cipher_sha256: Digest::of(fragment.sealed),
    };
    Ok((disclosed, plain))
}
