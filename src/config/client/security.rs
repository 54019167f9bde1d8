//! TLS and SASL from their Java settings; only PEM, because our TLS reads nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;

use crate::config::problem::Problem;

use super::read::{GivenSetting, shown};
use super::{SaslSettings, TlsSettings, jaas};

type Settings<'a> = BTreeMap<&'static str, GivenSetting<'a>>;

const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Reads the connection's security of one cluster.
pub(super) fn read(
    alias: &str,
    settings: &Settings<'_>,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> (Option<TlsSettings>, Option<SaslSettings>) {
    let mut security = Security { alias, settings, base, problems };
    let Some(protocol) = security.protocol() else { return (None, None) };
    let tls = protocol.ends_with("SSL");
    let sasl = protocol.starts_with("SASL");
    security.unused(&protocol, "ssl.", tls);
    security.unused(&protocol, "sasl.", sasl);
    (tls.then(|| security.tls()), sasl.then(|| security.sasl()).flatten())
}

struct Security<'a> {
    alias: &'a str,
    settings: &'a Settings<'a>,
    base: &'a Path,
    problems: &'a mut Vec<Problem>,
}

impl Security<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|given| given.text.value.trim()).filter(|text| !text.is_empty())
    }

    /// Adds a problem about a setting that is there, or about one that is missing.
    fn problem(&mut self, code: &'static str, name: &str, message: impl Into<String>) -> &mut Problem {
        let problem = match self.settings.get(name) {
            Some(given) => Problem::error(code, &given.key, given.origin, message).given(shown(name, given)),
            None => {
                let key = format!("clusters.{}.client.{name}", self.alias);
                let origin =
                    self.settings.values().next().map(|given| given.origin.clone()).unwrap_or_default();
                Problem::error(code, key, &origin, message)
            }
        };
        self.problems.push(problem);
        self.problems.last_mut().expect("it was just pushed")
    }

    fn protocol(&mut self) -> Option<String> {
        let protocol = self.text("security.protocol").unwrap_or("PLAINTEXT").to_ascii_uppercase();
        if PROTOCOLS.contains(&protocol.as_str()) {
            return Some(protocol);
        }
        let problem = self.problem("bad_value", "security.protocol", "is not a security protocol");
        problem.allowed = Some(PROTOCOLS.join(", "));
        None
    }

    /// Settings of a layer that the protocol doesn't have.
    fn unused(&mut self, protocol: &str, prefix: &str, used: bool) {
        if used {
            return;
        }
        for (_, given) in self.settings.iter().filter(|(name, _)| name.starts_with(prefix)) {
            let message = format!("has no effect: security.protocol is {protocol}");
            let problem = Problem::warning("setting_without_effect", &given.key, given.origin, message);
            let wanted = if prefix == "ssl." { "SSL or SASL_SSL" } else { "SASL_SSL" };
            self.problems.push(problem.hint(format!("set security.protocol to {wanted}")));
        }
    }

    fn tls(&mut self) -> TlsSettings {
        let algorithm = self.settings.get("ssl.endpoint.identification.algorithm");
        let verify_hostname = match algorithm.map(|given| given.text.value.trim().to_ascii_lowercase()) {
            None => true,
            Some(text) if text == "https" => true,
            Some(text) if text.is_empty() => false,
            Some(_) => {
                let name = "ssl.endpoint.identification.algorithm";
                self.problem("bad_value", name, "is not a known algorithm").allowed =
                    Some("https, or an empty text for no check of host names".to_owned());
                true
            }
        };
        let ca_pem = self.store("truststore", "ssl.truststore.certificates").inspect(|pem| {
            self.certificates("truststore", "ssl.truststore.certificates", pem);
        });
        let (certificate_pem, key_pem) = self.identity();
        TlsSettings { ca_pem, certificate_pem, key_pem, key_password: None, verify_hostname }
    }

    /// The PEM text of a store, given in place or as a file.
    fn store(&mut self, store: &str, inline: &str) -> Option<String> {
        let type_name = format!("ssl.{store}.type");
        let location = format!("ssl.{store}.location");
        let kind = self.text(&type_name).map(str::to_ascii_uppercase);
        if kind.is_some_and(|kind| kind != "PEM") {
            let hint = conversion(store);
            let problem = self.problem("bad_value", &type_name, "is a type of store that can't be read");
            (problem.allowed, problem.hint) = (Some("PEM".to_owned()), Some(hint));
            return None;
        }
        if let Some(pem) = self.text(inline) {
            return Some(pem.to_owned());
        }
        let path = self.base.join(self.text(&location)?);
        match std::fs::read(&path) {
            Err(error) => {
                self.problem("missing_file", &location, format!("can't be read: {error}"));
                None
            }
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(pem) if pem.contains("-----BEGIN ") => Some(pem),
                _ => {
                    let hint = conversion(store);
                    self.problem("bad_file", &location, "is not a PEM file").hint = Some(hint);
                    None
                }
            },
        }
    }

    /// Checks that a PEM text has certificates that can be read.
    fn certificates(&mut self, store: &str, inline: &str, pem: &str) {
        let location = format!("ssl.{store}.location");
        let name = if self.text(inline).is_some() { inline.to_owned() } else { location };
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let message = match read {
            Err(error) => format!("has a damaged certificate: {error}"),
            Ok(list) if list.is_empty() => "has no certificate in it".to_owned(),
            Ok(_) => return,
        };
        self.problem("bad_file", &name, message);
    }

    /// Certificate chain and key of the client: in place, or both in one file.
    fn identity(&mut self) -> (Option<String>, Option<SecretString>) {
        let inline_chain = "ssl.keystore.certificate.chain";
        let Some(chain) = self.store("keystore", inline_chain) else {
            if self.text("ssl.keystore.key").is_some() && self.text("ssl.keystore.location").is_none() {
                self.problem("missing_setting", inline_chain, "is missing: the key has no certificate");
            }
            return (None, None);
        };
        self.certificates("keystore", inline_chain, &chain);
        let key = match (self.text("ssl.keystore.key"), self.text(inline_chain)) {
            (Some(key), _) => Some(key.to_owned()),
            (None, None) => Some(chain.clone()),
            (None, Some(_)) => {
                self.problem("missing_setting", "ssl.keystore.key", "is missing: the certificate has no key");
                None
            }
        };
        (Some(certificates_of(&chain)), key.and_then(|pem| self.key(&pem)))
    }

    fn key(&mut self, pem: &str) -> Option<SecretString> {
        let name = if self.text("ssl.keystore.key").is_some() {
            "ssl.keystore.key"
        } else {
            "ssl.keystore.location"
        };
        if pem.contains("ENCRYPTED") {
            let problem =
                self.problem("encrypted_key", name, "is a key with a password, which can't be read");
            problem.hint = Some(
                "decrypt it with `openssl pkcs8 -in key.pem -out clear.pem`, and keep the file readable by us alone"
                    .to_owned(),
            );
            return None;
        }
        if let Some(given) = self.settings.get("ssl.key.password") {
            let message = "has no meaning here and is left out: the key has no password";
            self.problems.push(Problem::warning(
                "setting_without_meaning",
                &given.key,
                given.origin,
                message,
            ));
        }
        match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
            Ok(_) => Some(SecretString::from(key_of(pem))),
            // The error is not shown: it may quote what it could not read.
            Err(_) => {
                self.problem("bad_file", name, "has no private key that can be read").allowed =
                    Some("a PEM key: PKCS#8, PKCS#1 or SEC1".to_owned());
                None
            }
        }
    }

    fn sasl(&mut self) -> Option<SaslSettings> {
        let mechanism = self.text("sasl.mechanism").map(str::to_ascii_uppercase);
        let Some(mechanism) = mechanism.filter(|mechanism| MECHANISMS.contains(&mechanism.as_str())) else {
            let message = match self.text("sasl.mechanism") {
                // Java's default is GSSAPI.
                None => "is missing",
                Some(_) => "is not a mechanism that is supported",
            };
            self.problem("bad_value", "sasl.mechanism", message).allowed = Some(MECHANISMS.join(", "));
            return None;
        };
        let (username, password) = match self.text("sasl.jaas.config").map(str::to_owned) {
            Some(line) => self.jaas(&mechanism, &line)?,
            None => (self.text("sasl.username").map(str::to_owned), self.raw("sasl.password")),
        };
        for (value, name) in [(&username, "sasl.username"), (&password, "sasl.password")] {
            if value.is_none() {
                let message = format!("is missing: {mechanism} needs a user and a password");
                self.problem("missing_setting", name, message).hint =
                    Some("set sasl.username and sasl.password, or sasl.jaas.config".to_owned());
            }
        }
        Some(SaslSettings { mechanism, username: username?, password: SecretString::from(password?) })
    }

    /// A value as it is: blanks may be part of a password.
    fn raw(&self, name: &str) -> Option<String> {
        self.settings.get(name).map(|given| given.text.value.clone()).filter(|text| !text.is_empty())
    }

    fn jaas(&mut self, mechanism: &str, line: &str) -> Option<(Option<String>, Option<String>)> {
        let name = "sasl.jaas.config";
        let jaas = match jaas::parse(line) {
            Ok(jaas) => jaas,
            Err(error) => {
                self.problem("bad_value", name, error).allowed =
                    Some("<module> required username=\"…\" password=\"…\";".to_owned());
                return None;
            }
        };
        let wanted = if mechanism == "PLAIN" { "PlainLoginModule" } else { "ScramLoginModule" };
        if jaas.module != wanted {
            self.problem("bad_value", name, format!("names a login module that is not for {mechanism}"))
                .allowed = Some(wanted.to_owned());
            return None;
        }
        let option = |name| jaas.option(name).map(str::to_owned);
        Some((option("username"), option("password")))
    }
}

/// How to turn a Java store into PEM.
fn conversion(store: &str) -> String {
    let what = if store == "truststore" { "-nokeys" } else { "-noenc" };
    format!(
        "convert it: `keytool -importkeystore -srckeystore {store}.jks -destkeystore {store}.p12 -deststoretype PKCS12`, \
         then `openssl pkcs12 -in {store}.p12 {what} -out {store}.pem`; set ssl.{store}.type=PEM"
    )
}

/// The certificates of a PEM text, without its keys.
fn certificates_of(pem: &str) -> String {
    blocks(pem, |label| label.contains("CERTIFICATE"))
}

/// The keys of a PEM text, without its certificates.
fn key_of(pem: &str) -> String {
    blocks(pem, |label| label.contains("PRIVATE KEY"))
}

fn blocks(pem: &str, wanted: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in pem.lines() {
        let line = line.trim();
        if let Some(label) = line.strip_prefix("-----BEGIN ") {
            inside = wanted(label);
        }
        if inside {
            out.push_str(line);
            out.push('\n');
        }
        if line.starts_with("-----END ") {
            inside = false;
        }
    }
    out
}
