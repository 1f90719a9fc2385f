//! Every error of the agent, for whoever has to know them all.

use crate::agent::agent::Error;
use crate::agent::image::ImageError;
use crate::agent::install::InstallError;
use crate::agent::json::Fault;
use crate::agent::ports::TransportError;
use crate::agent::release::Foreign;
use crate::agent::tuf::{self, Refusal, Role};

/// Errors of every kind, each refusal of each place where there can be one. What is new is added here
/// by hand; [`is_listed`] does not compile before.
pub(crate) fn errors() -> Vec<Error> {
    let transport = [
        TransportError::Unreachable,
        TransportError::Truncated,
        TransportError::TooSlow,
        TransportError::HeadTooLarge,
        TransportError::Untrusted,
    ];
    let image = [
        ImageError::Flash,
        ImageError::Magic(0),
        ImageError::SegmentCount(17),
        ImageError::Chip { expected: 5, found: 9 },
        ImageError::Revision { needed: 300, found: 100 },
        ImageError::SegmentLength(3),
        ImageError::Size(17),
        ImageError::Length { image: 2, partition: 1 },
        ImageError::Checksum,
        ImageError::NoDigest,
        ImageError::Digest,
    ];
    let mut install = vec![
        InstallError::NoOtherSlot,
        InstallError::TooLarge { image: 2, slot: 1 },
        InstallError::SequenceExhausted,
        InstallError::Flash,
        InstallError::Status(404),
        InstallError::Length,
        InstallError::Endless,
        InstallError::Short,
        InstallError::Range,
        InstallError::Digest,
        InstallError::FlashDigest,
    ];
    install.extend(transport.map(InstallError::Transport));
    install.extend(image.map(InstallError::Image));
    let refusals = [
        Refusal::TooLarge { cap: 1 },
        Refusal::Json(Fault::Encoding),
        Refusal::Json(Fault::Syntax(1)),
        Refusal::Json(Fault::Depth),
        Refusal::Json(Fault::Number(1)),
        Refusal::Json(Fault::DuplicateKey),
        Refusal::Json(Fault::TooManyKeys),
        Refusal::Field("version"),
        Refusal::WrongType,
        Refusal::SpecVersion,
        Refusal::DuplicateSignature,
        Refusal::Threshold { needed: 2, found: 1 },
        Refusal::Expired { expires: 1, now: 2 },
        Refusal::Rollback { trusted: 2, offered: 1 },
        Refusal::Version { expected: 2, found: 1 },
        Refusal::Length { expected: 1 },
        Refusal::Hash,
        Refusal::Missing,
        Refusal::Delegations { most: 1 },
        Refusal::Rotations { followed: 1 },
    ];
    let mut metadata = vec![
        tuf::Error::Status(503),
        tuf::Error::StoredState,
        tuf::Error::Store,
        tuf::Error::OutOfMemory(Role::Root),
    ];
    metadata.extend(transport.map(tuf::Error::Transport));
    for refusal in refusals {
        metadata.push(tuf::Error::Refused(Role::Root, refusal));
        metadata.push(tuf::Error::EmbeddedRoot(refusal));
        metadata.push(tuf::Error::StoredRoot(refusal));
    }
    let mut all = vec![
        Error::OnTrial,
        Error::FlashEncrypted,
        Error::Store,
        Error::Foreign(Foreign::Product),
        Error::Foreign(Foreign::Chip),
    ];
    all.extend(install.into_iter().map(Error::Install));
    all.extend(metadata.into_iter().map(Error::Metadata));
    assert!(all.iter().all(is_listed));
    all
}

/// Names every kind of error once, without a rest: a new one ends here, and belongs above, too.
fn is_listed(error: &Error) -> bool {
    use {Fault as F, ImageError as M, InstallError as I, Refusal as R, TransportError as T};
    let transport = |error: &T| match error {
        T::Unreachable | T::Truncated | T::TooSlow | T::HeadTooLarge | T::Untrusted => true,
    };
    let image = |error: &M| match error {
        M::Flash | M::Magic(_) | M::SegmentCount(_) | M::Chip { .. } | M::Revision { .. } => true,
        M::SegmentLength(_) | M::Size(_) | M::Length { .. } | M::Checksum => true,
        M::NoDigest | M::Digest => true,
    };
    let fault = |error: &F| match error {
        F::Encoding | F::Syntax(_) | F::Depth | F::Number(_) => true,
        F::DuplicateKey | F::TooManyKeys => true,
    };
    let refusal = |error: &R| match error {
        R::Json(error) => fault(error),
        R::TooLarge { .. } | R::Field(_) | R::WrongType | R::SpecVersion => true,
        R::DuplicateSignature | R::Threshold { .. } | R::Expired { .. } | R::Rollback { .. } => {
            true
        }
        R::Version { .. } | R::Length { .. } | R::Hash | R::Missing => true,
        R::Delegations { .. } | R::Rotations { .. } => true,
    };
    match error {
        Error::OnTrial | Error::FlashEncrypted | Error::Store => true,
        Error::Foreign(Foreign::Product | Foreign::Chip) => true,
        Error::Install(I::Transport(error)) | Error::Metadata(tuf::Error::Transport(error)) => {
            transport(error)
        }
        Error::Install(I::Image(error)) => image(error),
        Error::Install(
            I::NoOtherSlot
            | I::TooLarge { .. }
            | I::SequenceExhausted
            | I::Flash
            | I::Status(_)
            | I::Length
            | I::Endless
            | I::Short
            | I::Range
            | I::Digest
            | I::FlashDigest,
        ) => true,
        Error::Metadata(
            tuf::Error::Refused(_, error)
            | tuf::Error::EmbeddedRoot(error)
            | tuf::Error::StoredRoot(error),
        ) => refusal(error),
        Error::Metadata(
            tuf::Error::Status(_)
            | tuf::Error::StoredState
            | tuf::Error::Store
            | tuf::Error::OutOfMemory(_),
        ) => true,
    }
}
