//! The connector: from an address as it stands in a request to a connection with a service.
//!
//! resolve → check every address → dial the checked one → TLS. There is no second resolution, so a name cannot answer
//! the check with one address and the dial with another. Literals go the same way as names.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use super::address;
use super::error::{EgressError, Refusal, chain};

/// How long one address may stay silent before the next is tried beside it (RFC 8305 §5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// A connection with a service, with TLS or without.
pub(super) type Wire = MaybeHttpsStream<TokioIo<TcpStream>>;

type Opening<T> = Pin<Box<dyn Future<Output = Result<T, EgressError>> + Send>>;

/// Which addresses may be dialled.
#[derive(Debug)]
pub(super) struct Rules {
    pub allow: Vec<IpNet>,
    pub unrestricted: bool,
}

/// TLS over checked connections, once for the pool and once for connections of one exchange.
struct Tls {
    /// HTTP/2 where the service offers it.
    pooled: HttpsConnector<Tcp>,
    /// HTTP/1.1 only.
    single: HttpsConnector<Tcp>,
}

/// Opens connections, for the pool and for a single exchange.
#[derive(Clone)]
pub(super) struct Door {
    house: Arc<House>,
    single: bool,
}

struct House {
    tcp: Tcp,
    connect_timeout: Duration,
    extra_roots: Vec<CertificateDer<'static>>,
    /// Filled at the first https connection: the system's roots cost a start-up several milliseconds of reading.
    tls: OnceCell<Tls>,
}

impl Door {
    pub fn new(rules: Rules, connect_timeout: Duration, extra_roots: Vec<CertificateDer<'static>>) -> Self {
        let tcp = Tcp(Arc::new(rules));
        Self {
            house: Arc::new(House { tcp, connect_timeout, extra_roots, tls: OnceCell::new() }),
            single: false,
        }
    }

    /// The same door for connections of one exchange: HTTP/1.1 only.
    pub fn single(&self) -> Self {
        Self { house: Arc::clone(&self.house), single: true }
    }

    /// The same door for a pool.
    pub fn pooled(&self) -> Self {
        Self { house: Arc::clone(&self.house), single: false }
    }

    #[cfg(test)]
    pub fn has_loaded_roots(&self) -> bool {
        self.house.tls.initialized()
    }

    /// A connection to where the address points, within the connect time-out.
    pub async fn open(&self, uri: Uri) -> Result<Wire, EgressError> {
        timeout(self.house.connect_timeout, self.connect(uri))
            .await
            .unwrap_or(Err(EgressError::Timeout { sent: false }))
    }

    async fn connect(&self, uri: Uri) -> Result<Wire, EgressError> {
        if uri.scheme() == Some(&Scheme::HTTP) {
            return self.house.tcp.connect(&uri).await.map(MaybeHttpsStream::Http);
        }
        let host = uri.host().unwrap_or_default().to_owned();
        let tls = self
            .house
            .tls
            .get_or_try_init(|| self.house.tls())
            .await
            .map_err(|why| EgressError::Tls { host: host.clone(), why })?;
        let mut connector = if self.single { tls.single.clone() } else { tls.pooled.clone() };
        connector.call(uri).await.map_err(|error| match error.downcast::<EgressError>() {
            Ok(before_tls) => *before_tls,
            Err(error) => EgressError::Tls { host, why: chain(&*error) },
        })
    }
}

impl House {
    async fn tls(&self) -> Result<Tls, String> {
        let extra = self.extra_roots.clone();
        let config = tokio::task::spawn_blocking(move || config(extra))
            .await
            .map_err(|_| "the root certificates could not be loaded".to_owned())??;
        let with = |protocols: &[&str]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
            HttpsConnector::from((self.tcp.clone(), config))
        };
        Ok(Tls { pooled: with(&["h2", "http/1.1"]), single: with(&["http/1.1"]) })
    }
}

/// The system's root certificates and the extra ones. What the system holds but rustls cannot read is left out.
fn config(extra: Vec<CertificateDer<'static>>) -> Result<ClientConfig, String> {
    let system = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system.certs.into_iter().chain(extra));
    if roots.is_empty() {
        return Err("the system has no root certificates: install them (Debian: ca-certificates)".to_owned());
    }
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .map_err(|error| error.to_string())
}

/// Checked connections without TLS.
#[derive(Clone, Debug)]
struct Tcp(Arc<Rules>);

impl Tcp {
    async fn connect(&self, uri: &Uri) -> Result<TokioIo<TcpStream>, EgressError> {
        let host = uri.host().ok_or(EgressError::InvalidRequest("The address has no host."))?;
        let plain = uri.scheme() != Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if plain { 80 } else { 443 });
        let found = self.0.resolve(host, port).await?;
        let addresses = self.0.check(host, plain, found)?;
        let stream = race(&addresses, TcpStream::connect)
            .await
            .map_err(|error| EgressError::Connect { host: host.to_owned(), why: error.to_string() })?;
        stream
            .set_nodelay(true)
            .map_err(|error| EgressError::Connect { host: host.to_owned(), why: error.to_string() })?;
        Ok(TokioIo::new(stream))
    }
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = EgressError;
    type Future = Opening<TokioIo<TcpStream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), EgressError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tcp = self.clone();
        Box::pin(async move { tcp.connect(&uri).await })
    }
}

impl Rules {
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        if let Ok(literal) = bare.unwrap_or(host).parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(literal, port)]);
        }
        if bare.is_some() {
            return Err(EgressError::InvalidRequest("The address in brackets is no IPv6 address."));
        }
        if !self.unrestricted && address::odd_notation(host) {
            let refusal = Refusal::Notation;
            return Err(EgressError::AddressNotAllowed { host: host.to_owned(), refusal });
        }
        let found = tokio::net::lookup_host((host, port)).await.map(Iterator::collect::<Vec<_>>);
        found
            .ok()
            .filter(|addresses| !addresses.is_empty())
            .ok_or_else(|| EgressError::Unresolvable { host: host.to_owned() })
    }

    /// Leaves only what may be dialled; at least one address, or the first refusal.
    fn check(&self, host: &str, plain: bool, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, EgressError> {
        let mut refused = None;
        let mut allowed = Vec::with_capacity(found.len());
        for address in found {
            // A mapped address is dialled as the IPv4 address as which it was judged.
            let address = match address.ip().to_canonical() {
                ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
                IpAddr::V6(_) => address,
            };
            match self.refusal(address.ip(), plain) {
                None => allowed.push(address),
                Some(refusal) => refused = refused.or(Some(refusal)),
            }
        }
        match refused {
            Some(refusal) if allowed.is_empty() => {
                Err(EgressError::AddressNotAllowed { host: host.to_owned(), refusal })
            }
            _ => Ok(allowed),
        }
    }

    fn refusal(&self, address: IpAddr, plain: bool) -> Option<Refusal> {
        if self.unrestricted || address::listed(&self.allow, address) {
            return None;
        }
        address::inside(address)
            .map(|kind| Refusal::Inside { address, kind })
            .or_else(|| plain.then_some(Refusal::PlainHttp))
    }
}

/// The first connection that stands. The next address is tried as soon as one fails, and beside those that are silent.
async fn race<T, F>(addresses: &[SocketAddr], dial: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.iter();
    let mut dialling = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.next() {
            dialling.push(dial(*address));
        }
        tokio::select! {
            Some(outcome) = dialling.next() => match outcome {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            },
            () = sleep(NEXT_ADDRESS_AFTER), if waiting.len() > 0 => {}
            else => return Err(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn addresses(text: &[&str]) -> Vec<SocketAddr> {
        text.iter().map(|t| t.parse().unwrap()).collect()
    }

    fn rules(allow: &[&str]) -> Rules {
        Rules { allow: allow.iter().map(|net| net.parse().unwrap()).collect(), unrestricted: false }
    }

    #[test]
    fn of_several_addresses_only_allowed_ones_are_dialled() {
        let found = || addresses(&["10.0.0.1:443", "8.8.8.8:443", "[::1]:443", "[::ffff:1.1.1.1]:443"]);
        assert_eq!(
            rules(&[]).check("h", false, found()).unwrap(),
            addresses(&["8.8.8.8:443", "1.1.1.1:443"])
        );
        assert_eq!(
            rules(&["10.0.0.0/8"]).check("h", false, found()).unwrap(),
            addresses(&["10.0.0.1:443", "8.8.8.8:443", "1.1.1.1:443"])
        );
        let refused = rules(&[]).check("h", false, addresses(&["[::ffff:10.0.0.1]:443", "127.0.0.1:443"]));
        let refusal = Refusal::Inside { address: IpAddr::from([10, 0, 0, 1]), kind: "a private address" };
        assert_eq!(refused, Err(EgressError::AddressNotAllowed { host: "h".into(), refusal }));
    }

    #[test]
    fn plain_http_only_towards_listed_addresses() {
        let found = || addresses(&["8.8.8.8:80", "10.0.0.1:80"]);
        let refused = rules(&[]).check("h", true, found());
        assert_eq!(
            refused,
            Err(EgressError::AddressNotAllowed { host: "h".into(), refusal: Refusal::PlainHttp })
        );
        assert_eq!(rules(&["10.0.0.0/8"]).check("h", true, found()).unwrap(), addresses(&["10.0.0.1:80"]));
        let unrestricted = Rules { allow: Vec::new(), unrestricted: true };
        assert_eq!(unrestricted.check("h", true, found()).unwrap(), found());
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_fails_and_when_one_is_silent() {
        let tried = Mutex::new(Vec::new());
        let found = addresses(&["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "192.0.2.4:1"]);
        let connected = race(&found, |address| {
            tried.lock().unwrap().push(address);
            let IpAddr::V4(ip) = address.ip() else { unreachable!() };
            let last = ip.octets()[3];
            async move {
                match last {
                    1 => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
                    2 => std::future::pending().await,
                    _ => Ok(last),
                }
            }
        });
        assert_eq!(connected.await.unwrap(), 3);
        assert_eq!(*tried.lock().unwrap(), found[..3]);
    }

    #[tokio::test]
    async fn when_all_fail_the_last_failure_is_told() {
        let found = addresses(&["192.0.2.1:1", "192.0.2.2:1"]);
        let failed: io::Result<()> =
            race(&found, |_| async { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) }).await;
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let none: io::Result<()> = race(&[], |_| async { Ok(()) }).await;
        assert!(none.is_err());
    }
}
