//! The calls of `kofferctl card`.

use koffer_proto::Blob;
use koffer_proto::class::card_terminal::{
    ChangePinParams, Command, ConnectParams, DisconnectParams, FileAddress, ReadParams,
    TransmitParams, VerifyPinParams, WriteParams,
};

use super::{Content, bytes};
use crate::ctl::args::{Card, CardCommand, CardFile};
use crate::ctl::trouble::Trouble;

pub(super) fn card(card: Card) -> Result<Content, Trouble> {
    let Card { device, command } = card;
    match command {
        CardCommand::Connect { protocol } => {
            let protocol = protocol.map(Into::into);
            Content::json(device, "connect", &ConnectParams { protocol })
        }
        CardCommand::Read { file, length, to } => {
            let (file, offset) = address(file);
            let params = ReadParams {
                file,
                offset,
                length,
            };
            let mut content = Content::json(device, "read", &params)?;
            content.save_to = to;
            Ok(content)
        }
        CardCommand::Write {
            file,
            content,
            from,
        } => {
            let content = match from {
                Some(path) => Blob::from(bytes(&path)?),
                None => content.unwrap_or_default(),
            };
            let (file, offset) = address(file);
            let params = WriteParams {
                file,
                offset,
                content,
            };
            Content::json(device, "write", &params)
        }
        CardCommand::Transmit { apdus, accept } => {
            let commands = apdus.into_iter().map(|one| Command {
                apdu: one.apdu,
                accept: if one.accept.is_empty() {
                    accept.clone()
                } else {
                    one.accept
                },
            });
            let commands = commands.collect();
            Content::json(device, "transmit", &TransmitParams { commands })
        }
        CardCommand::VerifyPin(pin) => {
            Content::json(device, "verify-pin", &VerifyPinParams { pin: pin.into() })
        }
        CardCommand::ChangePin(pin) => {
            Content::json(device, "change-pin", &ChangePinParams { pin: pin.into() })
        }
        CardCommand::Disconnect { then } => {
            let disposition = then.into();
            Content::json(device, "disconnect", &DisconnectParams { disposition })
        }
    }
}

fn address(
    file: CardFile,
) -> (
    FileAddress,
    Option<koffer_proto::class::card_terminal::FileOffset>,
) {
    let address = FileAddress {
        application: file.aid,
        path: file.path,
    };
    (address, file.offset)
}
