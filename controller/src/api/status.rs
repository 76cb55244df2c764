//! Refusal to gRPC status, in one exhaustive match.

use tonic::metadata::MetadataValue;
use tonic::{Code as Grpc, Status};

use crate::access::{Code, Refusal};

/// The status of a refusal, its stable code in the metadata.
#[must_use]
pub fn of(refusal: &Refusal) -> Status {
    let mut status = Status::new(grpc(refusal.code()), refusal.message());
    let code = MetadataValue::from_static(refusal.code().as_str());
    status.metadata_mut().insert(proto::CODE_KEY, code);
    status
}

fn grpc(code: Code) -> Grpc {
    match code {
        Code::TokenUnknown | Code::PersonSuspended => Grpc::Unauthenticated,
        Code::RoleMissing | Code::PurposeNotAllowed | Code::OwnRequest => Grpc::PermissionDenied,
        Code::RoleUnknown
        | Code::ReasonMissing
        | Code::TextTooLong
        | Code::PurposeUnknown
        | Code::CrimeReferenceMissing
        | Code::NameInvalid
        | Code::CamerasInvalid
        | Code::RangeInvalid
        | Code::RangeTooLong
        | Code::ReviewInvalid
        | Code::GroundsUnknown
        | Code::TokenLifeInvalid
        | Code::EvidenceKeyInvalid => Grpc::InvalidArgument,
        Code::CameraUnknown
        | Code::CaseUnknown
        | Code::HoldUnknown
        | Code::OrderUnknown
        | Code::PersonUnknown
        | Code::KeyUnknown
        | Code::SiteUnknown => Grpc::NotFound,
        Code::PersonExists | Code::KeyRevoked => Grpc::AlreadyExists,
        Code::NoFootage
        | Code::CaseState
        | Code::HoldState
        | Code::OrderState
        | Code::FootageHeld
        | Code::LastAdministrator
        | Code::TokenUsed
        | Code::TokenExpired
        | Code::SiteRevoked => Grpc::FailedPrecondition,
        Code::BundleMissing => Grpc::DataLoss,
        Code::Busy => Grpc::Aborted,
        Code::LogBroken => Grpc::Unavailable,
    }
}

/// The status of a call that shutdown broke off.
#[must_use]
pub fn stopping() -> Status {
    Status::unavailable("the controller is stopping: call again in a minute")
}
