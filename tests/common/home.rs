//! Apache Kafka's jars and the Java that runs them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::archive::shared_archive;
use super::blocking;

/// A quick start of a JVM matters more than peak speed: one simple collector, one compiler tier.
pub const QUICK_START: [&str; 3] = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];

const POM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/kafka-pom.xml");

/// A release of Apache Kafka that tests can run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Release {
    /// 4.3, what everything runs on unless it asks for another.
    #[default]
    V4_3,
    /// 3.9, the last of the series before; with KRaft, so that nothing else differs.
    V3_9,
}

impl Release {
    /// The full version, as on Maven Central.
    pub fn version(self) -> &'static str {
        match self {
            Self::V4_3 => "4.3.0",
            Self::V3_9 => "3.9.1",
        }
    }

    /// The variable that names an unpacked Kafka of this release.
    fn variable(self) -> &'static str {
        match self {
            Self::V4_3 => "KAFKA_HOME",
            Self::V3_9 => "KAFKA_HOME_3_9",
        }
    }

    /// A jar that only this release has; enough of its name.
    fn telling_jar(self) -> &'static str {
        match self {
            Self::V4_3 => "connect-mirror-4",
            Self::V3_9 => "connect-mirror-3.9",
        }
    }
}

/// The folder with `libs/*.jar`: from the release's variable if set, else `target/kafka-…`, filled by Maven once.
pub fn kafka_home(release: Release) -> &'static Path {
    static HOMES: [OnceLock<Result<PathBuf, String>>; 2] = [const { OnceLock::new() }; 2];
    match HOMES[release as usize].get_or_init(|| find_home(release)) {
        Ok(home) => home,
        Err(message) => panic!("{message}"),
    }
}

/// The class path of all of a Kafka.
pub fn class_path(release: Release) -> String {
    kafka_home(release).join("libs/*").display().to_string()
}

/// A program of the JDK: from `JAVA_HOME` if set, else from the path.
pub fn jdk(program: &str) -> OsString {
    match std::env::var_os("JAVA_HOME") {
        Some(home) => Path::new(&home).join("bin").join(program).into(),
        None => program.into(),
    }
}

/// Runs a class of Kafka 4.3's jars, or a `.java` file against them, and returns what it printed to stdout.
///
/// Fails the test when it exits non-zero. [`java_source`] names the harness's own programs.
pub async fn java(main: &str, arguments: &[&str]) -> String {
    try_java(main, arguments).await.unwrap_or_else(|error| panic!("{error}"))
}

/// [`java`] for what may fail: the error is all that it printed.
pub async fn try_java(main: &str, arguments: &[&str]) -> Result<String, String> {
    let name = main.to_owned();
    let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    blocking(move || {
        let mut command = Command::new(jdk("java"));
        // The brokers' archive saves half of the start. stdout is the program's own.
        command.args(QUICK_START).arg(shared_archive(Release::default()));
        command.args(["-Xlog:disable", "-Xlog:all=warning:stderr"]);
        command.args(["-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]);
        command.args(["-cp", &class_path(Release::default()), &name]).args(arguments);
        let output = command.output().expect("java can be run");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        match output.status.success() {
            true => Ok(said),
            false => Err(format!("{name} failed ({}): {said}\n{errors}", output.status)),
        }
    })
    .await
}

/// The path of a Java program of the harness, for [`java`].
pub fn java_source(file: &str) -> String {
    format!("{}/tests/common/java/{file}", env!("CARGO_MANIFEST_DIR"))
}

fn find_home(release: Release) -> Result<PathBuf, String> {
    require(&jdk("java"), "-version", "install a JDK, version 17 or later, or set JAVA_HOME")?;
    let (variable, jar) = (release.variable(), release.telling_jar());
    if let Some(home) = std::env::var_os(variable).map(PathBuf::from) {
        let jars = fs::read_dir(home.join("libs")).map_err(|error| {
            format!("{variable} is {}, but its folder libs can't be read: {error}", home.display())
        })?;
        let found = jars.flatten().any(|found| found.file_name().to_string_lossy().starts_with(jar));
        let missing = || format!("{variable} is {}, but libs has no {jar}….jar", home.display());
        return found.then(|| home.clone()).ok_or_else(missing);
    }
    let folder = format!("kafka-{}", release.version());
    fetch(release, &Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name(folder))
}

/// Has Maven copy the jars, once: other test processes wait at the lock and find the marker.
fn fetch(release: Release, home: &Path) -> Result<PathBuf, String> {
    let marker = home.join("complete");
    let at = |error: std::io::Error| format!("{}: {error}", home.display());
    fs::create_dir_all(home).map_err(at)?;
    let lock = File::create(home.join("lock")).map_err(at)?;
    lock.lock().map_err(at)?;
    let pom = fs::read(POM).map_err(|error| format!("{POM}: {error}"))?;
    if fs::read(&marker).is_ok_and(|made_from| made_from == pom) {
        return Ok(home.to_owned());
    }
    let version = release.version();
    let hint = format!("install Maven, or set {} to an unpacked Apache Kafka {version}", release.variable());
    require("mvn".as_ref(), "-version", &hint)?;
    eprintln!("harness: fetching Apache Kafka {version} into {} (once, about 55 MB)", home.display());
    let output = Command::new("mvn")
        .args(["-q", "-B", "-f", POM, "dependency:copy-dependencies"])
        .arg(format!("-Dkafka.version={version}"))
        // What 3.9 logs to by itself needs a configuration file; slf4j-simple takes its place.
        .arg("-DexcludeArtifactIds=slf4j-reload4j")
        .arg(format!("-DoutputDirectory={}", home.join("libs").display()))
        .output()
        .map_err(|error| format!("mvn: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        return Err(format!(
            "Maven could not fetch Apache Kafka {version} ({}): {said}\n{hint}",
            output.status
        ));
    }
    fs::write(&marker, pom).map_err(at)?;
    Ok(home.to_owned())
}

fn require(program: &std::ffi::OsStr, argument: &str, hint: &str) -> Result<(), String> {
    let name = program.to_string_lossy();
    match Command::new(program).arg(argument).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`{name} {argument}` failed ({}): {hint}", output.status)),
        Err(error) => Err(format!("these tests run real Kafka, and `{name}` can't be run ({error}): {hint}")),
    }
}
