//! The second wall: what a client whose name the broker vouches for may do.

use std::collections::{BTreeMap, BTreeSet};

use koffer_proto::{Class, ClientId, EffectKind, OperationSpec};

/// What a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientRole {
    /// Calls on the classes its entry allows.
    Workstation,
    /// Self-tests, resets, take-over, resolve; what only asks, on every device.
    Technician,
    /// Reads what is retained; calls nothing.
    Monitor,
}

/// One client's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// What it is.
    pub role: ClientRole,
    /// The classes whose operations it may call.
    pub classes: BTreeSet<Class>,
    /// Whether it may say what became of calls on devices of its classes whose outcome is
    /// unknown. A technician always may.
    pub resolves: bool,
}

/// Every client's rights; who is not in it has none.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    clients: BTreeMap<ClientId, Rights>,
}

impl Policy {
    /// The rights of these clients and of nobody else.
    pub fn new(clients: impl IntoIterator<Item = (ClientId, Rights)>) -> Self {
        Self {
            clients: clients.into_iter().collect(),
        }
    }

    /// Everybody who has any.
    pub(crate) fn clients(&self) -> impl ExactSizeIterator<Item = &ClientId> {
        self.clients.keys()
    }

    pub(crate) fn knows(&self, client: &ClientId) -> bool {
        self.clients.contains_key(client)
    }

    pub(crate) fn is_technician(&self, client: &ClientId) -> bool {
        self.clients
            .get(client)
            .is_some_and(|rights| rights.role == ClientRole::Technician)
    }

    /// Whether `client` may say what became of a call on a device of `class`.
    pub(crate) fn resolves(&self, client: &ClientId, class: Class) -> bool {
        self.clients.get(client).is_some_and(|rights| {
            rights.role == ClientRole::Technician
                || (rights.resolves && rights.classes.contains(&class))
        })
    }

    /// Whether `client` may call `operation` on a device of `class`.
    pub(crate) fn permits(
        &self,
        client: &ClientId,
        class: Class,
        operation: &OperationSpec,
    ) -> bool {
        let Some(rights) = self.clients.get(client) else {
            return false;
        };
        let own_class = rights.classes.contains(&class);
        match (rights.role, operation.class) {
            (ClientRole::Monitor, _) => false,
            (ClientRole::Technician, Class::AnyDevice | Class::Gateway) => true,
            (ClientRole::Technician, _) => own_class || operation.effect == EffectKind::None,
            (ClientRole::Workstation, Class::Gateway) => {
                operation.name != "resolve" || rights.resolves
            }
            (ClientRole::Workstation, Class::AnyDevice) => {
                own_class && matches!(operation.name, "claim" | "release" | "identify")
            }
            (ClientRole::Workstation, _) => own_class,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_denied_unless_given() {
        let client = |name: &str| name.parse::<ClientId>().unwrap();
        let rights = |role, classes: &[Class]| Rights {
            role,
            classes: classes.iter().copied().collect(),
            resolves: false,
        };
        let policy = Policy::new([
            (
                client("ws"),
                rights(ClientRole::Workstation, &[Class::Payment]),
            ),
            (client("tech"), rights(ClientRole::Technician, &[])),
            (
                client("eye"),
                rights(ClientRole::Monitor, &[Class::Payment]),
            ),
        ]);
        for (name, class, operation, permitted) in [
            ("ws", Class::Payment, "pay", true),
            ("ws", Class::Payment, "claim", true),
            ("ws", Class::Payment, "self-test", false),
            ("ws", Class::Payment, "reset", false),
            ("ws", Class::DocumentPrinter, "print", false),
            ("ws", Class::DocumentPrinter, "claim", false),
            ("ws", Class::Gateway, "cancel", true),
            ("ws", Class::Gateway, "resolve", false),
            ("tech", Class::Payment, "self-test", true),
            ("tech", Class::Payment, "status", true),
            ("tech", Class::Payment, "pay", false),
            ("tech", Class::Gateway, "resolve", true),
            ("eye", Class::Payment, "status", false),
            ("eye", Class::Gateway, "calls", false),
            ("stranger", Class::Payment, "status", false),
        ] {
            let spec = class.operation(operation).unwrap();
            assert_eq!(
                policy.permits(&client(name), class, spec),
                permitted,
                "{name} {class} {operation}"
            );
        }
    }
}
