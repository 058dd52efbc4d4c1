//! MQTT over WebSocket (MQTT 5, chapter 6).

use mqtt5::broker::websocket_server::WebSocketStreamWrapper;
use tokio_tungstenite::{
    accept_hdr_async_with_config,
    tungstenite::{
        Error,
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use super::{line::Socket, meter::Metered};

/// The first is what we name; clients that are given none ask for the second.
const PATHS: [&str; 2] = ["/mqtt", "/"];
const PROTOCOL: &str = "mqtt";
/// What may come with a packet in one message.
const BESIDE_A_PACKET: usize = 64 * 1024;

/// Makes the upgrade.
pub(super) async fn accept(
    socket: Metered,
    max_packet_size: usize,
) -> Result<Box<dyn Socket>, Error> {
    // The crate's own limit of a frame, 16 MiB, is less than what we announce.
    let most = max_packet_size + BESIDE_A_PACKET;
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(most))
        .max_frame_size(Some(most));
    let stream = accept_hdr_async_with_config(socket, upgrade, Some(config)).await?;
    Ok(Box::new(WebSocketStreamWrapper::new(stream)))
}

#[expect(
    clippy::result_large_err,
    reason = "the callback's type is the crate's"
)]
fn upgrade(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    if !PATHS.contains(&request.uri().path()) {
        let mut refusal = ErrorResponse::new(Some(format!("MQTT is at {}\n", PATHS[0])));
        *refusal.status_mut() = StatusCode::NOT_FOUND;
        return Err(refusal);
    }
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let mqtt = offered
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|protocol| protocol.trim() == PROTOCOL);
    if mqtt {
        let chosen = HeaderValue::from_static(PROTOCOL);
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    Ok(response)
}
