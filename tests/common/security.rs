//! Certificates, users and the broker properties that go with them.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// PEM files of one cluster: what its clients need, and what a stranger would try.
#[derive(Clone, Debug)]
pub struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    /// Makes a new authority, a server certificate for `localhost` and 127.0.0.1, a client's and a stranger's.
    pub fn create(dir: PathBuf) -> Self {
        let authority = authority("mirrormesh test authority");
        fs::write(dir.join("ca.pem"), authority.pem()).expect("a file can be written");
        let server = certificate("localhost", ExtendedKeyUsagePurpose::ServerAuth, &authority);
        // Kafka's PEM store takes key and chain in one file.
        fs::write(dir.join("server.pem"), format!("{}{}", server.1, server.0))
            .expect("a file can be written");
        let stranger = self::authority("another authority");
        for (name, issuer) in [("client", &authority), ("stranger", &stranger)] {
            let (certificate, key) = certificate(name, ExtendedKeyUsagePurpose::ClientAuth, issuer);
            fs::write(dir.join(format!("{name}.pem")), certificate).expect("a file can be written");
            fs::write(dir.join(format!("{name}.key")), key).expect("a file can be written");
        }
        Self { dir }
    }

    /// The authority that signed server and client.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A certificate the broker accepts; its principal is `User:CN=client`.
    pub fn client_certificate(&self) -> PathBuf {
        self.dir.join("client.pem")
    }

    /// The key of [`Self::client_certificate`].
    pub fn client_key(&self) -> PathBuf {
        self.dir.join("client.key")
    }

    /// A certificate of an authority the broker doesn't know.
    pub fn stranger_certificate(&self) -> PathBuf {
        self.dir.join("stranger.pem")
    }

    /// The key of [`Self::stranger_certificate`].
    pub fn stranger_key(&self) -> PathBuf {
        self.dir.join("stranger.key")
    }

    /// The broker's side.
    pub fn broker_properties(&self) -> Vec<(String, String)> {
        let file = |name: &str| self.dir.join(name).display().to_string();
        [
            ("ssl.keystore.type", "PEM".to_owned()),
            ("ssl.keystore.location", file("server.pem")),
            ("ssl.truststore.type", "PEM".to_owned()),
            ("ssl.truststore.location", file("ca.pem")),
            ("listener.name.tls.ssl.client.auth", "required".to_owned()),
            ("listener.name.sasltls.ssl.client.auth", "none".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .to_vec()
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate().expect("a key can be made");
    CertifiedIssuer::self_signed(params, key).expect("an authority can be made")
}

/// Certificate and key, as PEM.
fn certificate(
    name: &str,
    purpose: ExtendedKeyUsagePurpose,
    issuer: &CertifiedIssuer<'static, KeyPair>,
) -> (String, String) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).expect("the names are valid");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    let key = KeyPair::generate().expect("a key can be made");
    let signed = params.signed_by(&key, issuer).expect("a certificate can be signed");
    (signed.pem(), key.serialize_pem())
}

/// A user of the SASL listeners, known to PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 alike.
#[derive(Clone, Debug)]
pub struct User {
    /// Name; letters and digits.
    pub name: String,
    /// Password; letters, digits and dashes, as it goes through several of Kafka's little grammars.
    pub password: String,
}

/// Broker properties of a SASL listener of this name.
pub fn sasl_properties(listener: &str, users: &[User]) -> Vec<(String, String)> {
    let prefix = format!("listener.name.{listener}");
    let known: Vec<String> =
        users.iter().map(|user| format!("user_{}=\"{}\"", user.name, user.password)).collect();
    let module = "org.apache.kafka.common.security";
    let scram = format!("{module}.scram.ScramLoginModule required;");
    vec![
        (format!("{prefix}.sasl.enabled.mechanisms"), "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".to_owned()),
        (
            format!("{prefix}.plain.sasl.jaas.config"),
            format!("{module}.plain.PlainLoginModule required {};", known.join(" ")),
        ),
        (format!("{prefix}.scram-sha-256.sasl.jaas.config"), scram.clone()),
        (format!("{prefix}.scram-sha-512.sasl.jaas.config"), scram),
    ]
}

/// Arguments that make `StorageTool format` store the users' SCRAM credentials.
pub fn scram_arguments(users: &[User]) -> Vec<String> {
    let mut arguments = Vec::new();
    for user in users {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let credentials = format!("{mechanism}=[name={},password={}]", user.name, user.password);
            arguments.extend(["--add-scram".to_owned(), credentials]);
        }
    }
    arguments
}

/// Turns the authorizer on: plaintext listeners and `admin` may do everything, all others what ACLs grant.
pub fn authorizer_properties() -> Vec<(String, String)> {
    vec![
        (
            "authorizer.class.name".to_owned(),
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
        ),
        ("super.users".to_owned(), "User:ANONYMOUS;User:admin".to_owned()),
    ]
}

/// librdkafka settings for a SASL user, over TLS when the authority is given.
pub fn sasl_client(mechanism: &str, user: &User, ca: Option<&Path>) -> Vec<(String, String)> {
    let mut settings = vec![
        ("security.protocol", if ca.is_some() { "SASL_SSL" } else { "SASL_PLAINTEXT" }.to_owned()),
        ("sasl.mechanism", mechanism.to_owned()),
        ("sasl.username", user.name.clone()),
        ("sasl.password", user.password.clone()),
    ];
    settings.extend(ca.map(|ca| ("ssl.ca.location", ca.display().to_string())));
    settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
