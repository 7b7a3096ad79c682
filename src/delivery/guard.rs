//! Where requests may go, decided on the address that is connected to.
//!
//! Names are resolved here and only addresses that pass are handed to the client, so what DNS said a moment
//! before (rebinding) does not matter. Addresses in the URI itself never meet a resolver: they are checked
//! before the request is made, in whatever form they were written, because the URL parser turns octal,
//! hexadecimal and decimal forms into the one address they mean.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// An address that requests may not go to, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is not allowed: {reason}")]
pub struct Denied {
    /// The address.
    pub address: IpAddr,
    /// What it belongs to.
    pub reason: &'static str,
}

/// A name that no resolver knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}: no such host")]
pub struct NoSuchHost(pub String);

/// The rules: some networks are always refused, others by configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// Refuse loopback and private networks.
    pub deny_private: bool,
    /// Refuse these as well.
    pub deny_networks: Vec<IpNet>,
}

impl Guard {
    /// Whether a request may go to `address`.
    ///
    /// # Errors
    /// It may not, and why.
    pub fn check(&self, address: IpAddr) -> Result<(), Denied> {
        let plain = embedded_v4(address).map_or(address, IpAddr::V4);
        let refused = |reason| Err(Denied { address, reason });
        if let Some(reason) = never(plain) {
            return refused(reason);
        }
        if self.deny_private && is_private(plain) {
            return refused("a loopback or private address, and [delivery] deny_private is on");
        }
        let listed = |network: &IpNet| network.contains(&plain) || network.contains(&address);
        match self.deny_networks.iter().any(listed) {
            true => refused("listed in [delivery] deny_networks"),
            false => Ok(()),
        }
    }

    /// Checks the address in a URI, where there is one and not a name.
    ///
    /// # Errors
    /// It may not be connected to.
    pub fn check_uri(&self, uri: &Url) -> Result<(), Denied> {
        match uri.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            _ => Ok(()),
        }
    }
}

impl Guard {
    /// The addresses of a name, or the address that it is, in any form: those that may be connected to.
    ///
    /// # Errors
    /// There is none, or it is not allowed.
    pub(super) async fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, Unreachable> {
        let unknown = || NoSuchHost(host.to_owned());
        let found = tokio::net::lookup_host((host, port))
            .await
            .map_err(|_| unknown())?;
        let mut denied = None;
        let allowed: Vec<SocketAddr> = found
            .filter(|address| match self.check(address.ip()) {
                Ok(()) => true,
                Err(error) => {
                    denied = Some(error);
                    false
                }
            })
            .collect();
        match (allowed.is_empty(), denied) {
            (false, _) => Ok(allowed),
            (true, Some(denied)) => Err(denied.into()),
            (true, None) => Err(unknown().into()),
        }
    }
}

/// Why nothing can be connected to by a name.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreachable {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    NoSuchHost(#[from] NoSuchHost),
}

/// What no configuration allows.
fn never(address: IpAddr) -> Option<&'static str> {
    /// Not every cloud's is link-local: Amazon's and Google's over IPv6, and those of Alibaba, Azure and Oracle.
    const METADATA: [IpAddr; 5] = [
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
        IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
        IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
        IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
        IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    ];
    match address {
        IpAddr::V4(v4) if v4.is_link_local() => Some("link-local, where cloud metadata is served"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("link-local"),
        _ if METADATA.contains(&address) => Some("a cloud's metadata service"),
        _ if address.is_unspecified() => Some("unspecified"),
        _ if address.is_multicast() => Some("multicast"),
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some("broadcast"),
        // 0.0.0.0/8 is "this network": Linux connects to the machine itself.
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Some("unspecified"),
        _ => None,
    }
}

/// Loopback, RFC 1918, carrier-grade NAT (RFC 6598), and unique local addresses (RFC 4193).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_loopback() || v4.is_private() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

/// The IPv4 address inside an IPv6 one that leads there: IPv4-mapped, IPv4-compatible, IPv4-translated, NAT64 with
/// the well-known prefix and with a network's own (RFC 8215), and 6to4.
fn embedded_v4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else {
        return None;
    };
    let last = |segments: [u16; 2]| {
        Ipv4Addr::from((u32::from(segments[0]) << 16) | u32::from(segments[1]))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, a, b] => Some(last([a, b])),
        [0, 0, 0, 0, 0, 0, a, b] if a != 0 => Some(last([a, b])),
        [0, 0, 0, 0, 0xffff, 0, a, b] => Some(last([a, b])),
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x64, 0xff9b, 1, .., a, b] => Some(last([a, b])),
        [0x2002, a, b, ..] => Some(last([a, b])),
        _ => None,
    }
}

/// Resolves names with the system's resolver and lets through only what the guard allows.
#[derive(Debug, Clone)]
pub(super) struct GuardedResolver(pub(super) Arc<Guard>);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            match guard.resolve(name.as_str(), 0).await {
                Ok(allowed) => Ok(Box::new(allowed.into_iter()) as Addrs),
                Err(Unreachable::Denied(denied)) => Err(denied.into()),
                Err(Unreachable::NoSuchHost(unknown)) => Err(unknown.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(guard: &Guard, uri: &str) -> bool {
        guard.check_uri(&Url::parse(uri).unwrap()).is_ok()
    }

    #[test]
    fn metadata_multicast_and_nowhere_are_refused_in_every_form() {
        let guard = Guard::default();
        for uri in [
            "http://169.254.169.254/latest/meta-data",
            "http://169.254.1.1/",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[::a9fe:a9fe]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[64:ff9b:1::a9fe:a9fe]/",
            "http://[::ffff:0:a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::1]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://[fd20:ce::254]/",
            "http://100.100.100.200/latest/meta-data",
            "http://[::ffff:100.100.100.200]/",
            "http://168.63.129.16/",
            "http://192.0.0.192/opc/v2",
            "http://0.0.0.0/",
            "http://0/",
            "http://[::]/",
            "http://224.0.0.1/",
            "http://[ff02::1]/",
            "http://255.255.255.255/",
        ] {
            assert!(!allows(&guard, uri), "{uri}");
        }
        for uri in [
            "http://127.0.0.1:8080/",
            "http://10.0.0.1/",
            "http://[::1]/",
            "http://192.0.2.1/",
            "http://[2001:db8::1]/",
            "http://example.com/",
        ] {
            assert!(allows(&guard, uri), "{uri}");
        }
    }

    #[test]
    fn private_networks_and_listed_ones_are_refused_on_request() {
        let guard = Guard {
            deny_private: true,
            deny_networks: vec!["192.0.2.0/24".parse().unwrap()],
        };
        for uri in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://10.1.2.3/",
            "http://172.16.0.1/",
            "http://192.168.0.1/",
            "http://100.64.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[fc00::1]/",
            "http://192.0.2.7/",
            "http://[::ffff:192.0.2.7]/",
        ] {
            assert!(!allows(&guard, uri), "{uri}");
        }
        assert!(allows(&guard, "http://198.51.100.1/"));
    }
}
