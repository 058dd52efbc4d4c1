//! From a configured device to its driver.

use std::sync::Arc;

use koffer_drivers::{
    Driver,
    card::pcsc,
    payment::zvt::{self, codec::charset::Charset},
    printer::ipp,
};
use koffer_proto::{Connection, GatewayId};

use crate::{
    config::{DeviceConfig, DriverConfig, IppConfig, Receipts, ZvtAddress, ZvtCharset, ZvtConfig},
    registry::DeviceSpec,
};

/// Makes the driver of a new life.
type Make = Arc<dyn Fn() -> Box<dyn Driver> + Send + Sync>;

/// How a configured device of this gateway is driven.
pub(crate) fn spec(gateway: &GatewayId, device: &DeviceConfig) -> DeviceSpec {
    let (connection, make): (Connection, Make) = match &device.driver {
        DriverConfig::Zvt(config) => {
            let config = zvt_config(config);
            let connection = zvt::connection(&config);
            (connection, Arc::new(move || zvt::driver(config.clone())))
        }
        DriverConfig::Ipp(config) => {
            let config = ipp_config(gateway, config);
            let connection = ipp::connection(&config);
            (connection, Arc::new(move || ipp::driver(config.clone())))
        }
        DriverConfig::Pcsc(config) => {
            let config = config.clone();
            let connection = config.connection();
            (connection, Arc::new(move || pcsc::driver(config.clone())))
        }
    };
    DeviceSpec {
        id: device.id.clone(),
        class: device.driver.class(),
        driver: device.driver.name(),
        connection,
        make,
    }
}

/// Gateways may share a printer: the jobs of each are told apart by its id.
fn ipp_config(gateway: &GatewayId, config: &IppConfig) -> ipp::IppConfig {
    ipp::IppConfig {
        namespace: gateway.to_string(),
        certificate: config.certificate,
        ..ipp::IppConfig::new(config.address.clone())
    }
}

fn zvt_config(config: &ZvtConfig) -> zvt::ZvtConfig {
    let endpoint = match &config.address {
        ZvtAddress::Tcp(at) => zvt::Endpoint::Tcp {
            host: at.host.clone(),
            port: at.port,
        },
        ZvtAddress::Serial { path, baud } => zvt::Endpoint::Serial {
            path: path.to_string_lossy().into_owned(),
            baud: *baud,
        },
    };
    let receipts = match config.receipts {
        Receipts::App => zvt::ReceiptsTo::ToApp,
        Receipts::Terminal => zvt::ReceiptsTo::AtTerminal,
    };
    let charset = match config.charset {
        ZvtCharset::Cp437 => Charset::Cp437,
        ZvtCharset::Ascii => Charset::Ascii,
        ZvtCharset::Latin1 => Charset::Latin1,
        ZvtCharset::Latin2 => Charset::Latin2,
        ZvtCharset::Latin9 => Charset::Latin9,
        ZvtCharset::Utf8 => Charset::Utf8,
        ZvtCharset::Zvt7 => Charset::Zvt7,
    };
    zvt::ZvtConfig {
        endpoint,
        password: config.password,
        currency: config.currency,
        receipts,
        profile: zvt::Profile {
            charset,
            response_timeout: config.t4,
            reverse_only_last: config.reverse_only_last,
            shows_books: config.shows_books,
            tells_busy: config.tells_busy,
            books_within: config.books_within,
            ..zvt::Profile::default()
        },
    }
}
