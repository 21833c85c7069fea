//! The ports of a server, bound before anything else is started.

use std::net::SocketAddr;

use super::Addresses;
use super::plan::Plan;
use crate::net::{BindError, Bound, bind, bind_shared};

/// Every bound socket of a server.
pub(super) struct Doors {
    shared: Vec<Bound>,
    own: Vec<Bound>,
    http: Vec<Bound>,
    admin: Bound,
}

/// The bound sockets of one core.
pub(super) struct CoreDoors {
    pub(super) native: [Bound; 2],
    pub(super) http: Bound,
    /// The first core has the admin port.
    pub(super) admin: Option<Bound>,
}

impl Doors {
    pub(super) fn open(plan: &Plan) -> Result<Self, BindError> {
        let listen = &plan.config.listen;
        let address = |port| SocketAddr::new(listen.host, port);
        let shared = bind_shared(address(listen.native_port), plan.cores())?;
        // The port of each core follows the shared one; 0 stands for any free port.
        let ports = (0..plan.cores()).map(|core| match listen.native_port {
            0 => 0,
            first => u16::try_from(u32::from(first) + 1 + core).expect("checked with the number of cores"),
        });
        let own = ports.map(|port| bind(address(port))).collect::<Result<_, _>>()?;
        let http = bind_shared(address(listen.http_port), plan.cores())?;
        Ok(Self { shared, own, http, admin: bind(address(listen.admin_port))? })
    }

    pub(super) fn addresses(&self) -> Addresses {
        Addresses {
            native: self.shared.first().expect("there is at least one core").address,
            cores: self.own.iter().map(|door| door.address).collect(),
            http: self.http.first().expect("there is at least one core").address,
            admin: self.admin.address,
        }
    }

    /// One core's after the other's.
    pub(super) fn by_core(self) -> impl Iterator<Item = CoreDoors> {
        let mut admin = Some(self.admin);
        let each = self.shared.into_iter().zip(self.own).zip(self.http);
        each.map(move |((shared, own), http)| CoreDoors { native: [shared, own], http, admin: admin.take() })
    }
}
