//! The tables of operations as a page for people: `docs/contract/operations.md`.

use std::fmt::Write;

use crate::{Class, OperationDescription};

/// The page.
pub(super) fn operations() -> String {
    let mut page = String::from(
        "# The operations of version 1\n\n\
         Generated from the types by `koffer-contract write`; [contract.md](../contract.md) \
         explains the words. Every device has the operations of `any-device` besides its own.\n",
    );
    for class in Class::ALL {
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "\n## {class}\n\n\
             | operation | does | effect | at most | schemas |\n|---|---|---|---|---|\n"
        );
        for spec in class.own_operations() {
            let about = OperationDescription::from(spec);
            let effect = serde_json::to_value(about.effect).unwrap_or_default();
            let effect = effect.as_str().unwrap_or_default();
            let effect = if effect == "once" { "**once**" } else { effect };
            let confidential = if about.confidential {
                ", confidential"
            } else {
                ""
            };
            let path = format!("schema/{class}/{}", spec.name);
            let _ = writeln!(
                page,
                "| `{}` | {} | {effect}{confidential} | {} s | [params]({path}.params.json), \
                 [result]({path}.result.json) |",
                spec.name,
                spec.summary,
                spec.max_duration.as_secs(),
            );
        }
    }
    page
}
