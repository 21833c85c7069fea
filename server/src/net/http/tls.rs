//! TLS for the HTTP port: rustls over our sockets, with the names of both versions of HTTP (ALPN).
//!
//! Certificate and key may be replaced while the server runs: whoever looks after it calls [`Tls::refresh`], and connections that come afterwards
//! get the new ones. Files that cannot be used leave the old ones in place.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use futures_rustls::TlsAcceptor;
use futures_rustls::server::TlsStream;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};

use super::stream::WatchedSocket;

/// What clients may choose from, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no certificate or key.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// A file cannot be looked at.
    #[error("cannot look at {}: {source}", path.display())]
    Look {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no certificate in the file.
    #[error("{} holds no certificate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// They do not go together, or are of a kind that is not supported.
    #[error("the certificate {} and the key {} cannot be used: {source}", certificate.display(), key.display())]
    Unfit {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

/// A certificate and its key, for all cores.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Stamps>,
}

/// What shows that a file is another one.
type Stamps = [(Option<SystemTime>, u64, u64); 2];

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// When they cannot be read or used.
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let seen = stamps([certificate, key])?;
        let current = RwLock::new(read(certificate, key)?);
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        Ok(Arc::new(Self { certificate, key, current, seen: Mutex::new(seen) }))
    }

    /// Reads them again if they have changed; whether they have.
    ///
    /// # Errors
    /// When they have and cannot be used; then the old ones stay, and the error comes once.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let found = stamps([&self.certificate, &self.key])?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == found {
            return Ok(false);
        }
        *seen = found;
        let config = read(&self.certificate, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(true)
    }

    pub(super) async fn accept(&self, socket: WatchedSocket) -> io::Result<TlsStream<WatchedSocket>> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        TlsAcceptor::from(config).accept(socket).await
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    let chain: Result<Vec<CertificateDer<'static>>, pem::Error> =
        CertificateDer::pem_file_iter(certificate).map_err(fail(certificate))?.collect();
    let chain = chain.map_err(fail(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::Empty { path: certificate.to_owned() });
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(fail(key))?;
    let unfit = |source| TlsError::Unfit { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unfit)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, secret).map_err(unfit)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

fn stamps(paths: [&Path; 2]) -> Result<Stamps, TlsError> {
    use std::os::unix::fs::MetadataExt;
    let mut stamps = Stamps::default();
    for (stamp, path) in stamps.iter_mut().zip(paths) {
        let metadata = std::fs::metadata(path);
        let metadata = metadata.map_err(|source| TlsError::Look { path: path.to_owned(), source })?;
        *stamp = (metadata.modified().ok(), metadata.len(), metadata.ino());
    }
    Ok(stamps)
}
