//! From a payload to a request. Large payloads are decoded on another thread.

use koffer_proto::{
    Class, ContentType, DecodeRequestError, Detail, Failure, Lang, OperationSpec, Request, Segment,
    Sha256, Status,
};

use super::{
    incoming::{AckToken, Admitted},
    texts,
};
use crate::room::Held;

/// A larger payload, in bytes, is decoded on another thread: 32 MiB take a second.
pub(super) const DECODED_AT_ONCE: usize = 64 * 1024;

/// A call whose caller may call this.
pub(super) struct Vetted {
    pub(super) call: Admitted,
    pub(super) class: Class,
    pub(super) held: Held,
}

/// A call without its content.
pub struct Undecoded {
    pub(super) vetted: Vetted,
    pub(super) ack: AckToken,
}

/// What a call's payload says.
pub struct Content {
    pub(super) request: Request,
    /// Fields of it that nobody reads.
    pub(super) ignored: Vec<String>,
    pub(super) digest: Sha256,
}

/// What a call says, or why it cannot be read.
pub(super) type Decoded = Result<Content, Failure>;

/// What has to be known to decode a call.
pub(super) struct Form {
    class: Class,
    operation: Segment,
    target: Segment,
    encoding: ContentType,
    lang: Lang,
}

impl Undecoded {
    pub(super) fn form(&self) -> Form {
        let call = &self.vetted.call;
        Form {
            class: self.vetted.class,
            operation: call.operation.clone(),
            target: call.target.clone(),
            encoding: call.listener.encoding,
            lang: call.listener.lang,
        }
    }
}

impl Form {
    /// Takes its time where there is much of it.
    pub(super) fn decode(&self, payload: &[u8]) -> Decoded {
        let operation = self.operation.as_str();
        let spec = self.class.operation(operation);
        let (request, ignored) =
            Request::decode_noting(self.class, operation, self.encoding, payload)
                .map_err(|error| decode_failure(&error, spec, self.lang))?;
        let digest = request
            .digest(&self.target)
            .map_err(|e| Failure::without_effect(Status::BadRequest, e.to_string()))?;
        Ok(Content {
            request,
            ignored,
            digest,
        })
    }
}

impl std::fmt::Debug for Undecoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Undecoded").field(&self.ack).finish()
    }
}

fn decode_failure(error: &DecodeRequestError, spec: Option<&OperationSpec>, lang: Lang) -> Failure {
    let message = texts::request(error, spec).get(lang).to_owned();
    match error {
        DecodeRequestError::NoSuchOperation { .. } => {
            Failure::without_effect(Status::Unsupported, message)
        }
        DecodeRequestError::Params(error) => {
            let field = (!error.field.is_empty()).then(|| error.field.clone());
            Failure::without_effect(Status::BadRequest, message).with(Detail {
                field,
                ..Detail::default()
            })
        }
    }
}
