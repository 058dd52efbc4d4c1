//! Any text is read, and ends in a configuration or in mistakes.

use proptest::prelude::*;

use super::Case;

/// Lines that come near a configuration, so that the readers behind the parser are reached too.
fn line() -> impl Strategy<Value = String> {
    let header = prop::sample::select(vec![
        "[gateway]",
        "[limits]",
        "[log]",
        "[mqtt]",
        "[mqtt.embedded]",
        "[mqtt.external]",
        "[clients.ws-1]",
        "[clients.\"Ä b\"]",
        "[devices.a]",
        "[devices.gateway]",
        "[devices.a.b]",
        "[[devices]]",
        "[roles]",
        "[\"a[999999999999]\"]",
        "[a.b.c.d.e.f.g.h]",
        "[",
    ])
    .prop_map(str::to_owned);
    let key = prop::sample::select(vec![
        "id",
        "broker",
        "listen",
        "address",
        "role",
        "password",
        "password_file",
        "allow",
        "driver",
        "a",
        "\"\"",
        "clients",
        "devices",
        "max_payload_bytes",
        "t4_ms",
        "filter",
        "\"x[-9]\"",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "\"case-7\"",
            "\"\"",
            "\"*\"",
            "[\"*\", 1]",
            "[[], {}]",
            "{ a = { b = 1 } }",
            "1",
            "-1",
            "9223372036854775807",
            "99999999999999999999",
            "0xff",
            "1.5",
            "inf",
            "nan",
            "true",
            "1979-05-27",
            "\"zvt\"",
            "\"external\"",
            "\"unix:\"",
            "\"tcp://[\"",
            "\"serial:///?baud=\"",
            "\"credential:../x\"",
            "\"/dev/null\"",
            "\"\"\"",
            "",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,12}",
    ];
    prop_oneof![
        header,
        (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        "\\PC{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_text_ends_in_a_configuration_or_in_mistakes(lines in prop::collection::vec(line(), 0..24)) {
        let case = Case::new(&lines.join("\n"));
        if let Err(mistakes) = case.load() {
            prop_assert!(!mistakes.mistakes.is_empty());
        }
    }

    #[test]
    fn any_bytes_and_any_variable_end_in_a_configuration_or_in_mistakes(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        variable in "KOFFER__[A-Z_.\\[\\]0-9]{0,30}",
        value in "\\PC{0,20}",
    ) {
        let mut case = Case::new("");
        case.file("kofferd.toml", bytes, 0o600);
        case.env(&variable, &value);
        if let Err(mistakes) = case.load() {
            prop_assert!(!mistakes.mistakes.is_empty());
        }
    }
}
