//! From a configured device to its driver.

use std::sync::Arc;

use koffer_drivers::payment::zvt::{self, codec::charset::Charset};

use crate::{
    config::{DeviceConfig, DriverConfig, Receipts, ZvtAddress, ZvtCharset, ZvtConfig},
    registry::DeviceSpec,
};

/// How a configured device is driven.
pub(crate) fn spec(device: &DeviceConfig) -> DeviceSpec {
    match &device.driver {
        DriverConfig::Zvt(config) => {
            let config = zvt_config(config);
            DeviceSpec {
                id: device.id.clone(),
                class: device.driver.class(),
                driver: device.driver.name(),
                connection: zvt::connection(&config),
                make: Arc::new(move || zvt::driver(config.clone())),
            }
        }
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
            ..zvt::Profile::default()
        },
    }
}
