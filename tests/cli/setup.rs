//! `.ci/setup`, which does the set-up for the README's two commands, on machines of stubs: a folder of programs that
//! write down what they are asked, and nothing else on the path.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Ran, finish};

const RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// A machine with everything that is needed, and no package manager.
struct Machine {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap(), variables: Vec::new() };
        for folder in ["bin", "packages"] {
            fs::create_dir(machine.path(folder)).unwrap();
        }
        let path = std::env::var_os("PATH").expect("there is a path");
        for tool in ["cat", "cp", "dirname", "env", "sed", "sh"] {
            let found =
                std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.exists());
            symlink(found.expect("every system has it"), machine.path(&format!("bin/{tool}"))).unwrap();
        }
        fs::write(machine.path("certificates"), "some").unwrap();
        for (name, script) in [
            ("cargo", "echo \"cargo $*\" >>\"$HOME/log\"; exit 7"),
            ("c++", "cat >/dev/null"),
            ("cc", "cat >/dev/null"),
            ("id", "echo 0"),
            ("java", "echo 'openjdk version \"21.0.9\" 2026-01-20' >&2"),
            ("javac", ""),
            ("make", ""),
            ("mvn", ""),
            ("perl", ""),
            ("uname", "echo Linux"),
        ] {
            machine.put(name, script);
        }
        machine.put("rustc", &format!("echo 'rustc {RUST}.0 (0000 2026-01-01)'"));
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, script: &str) {
        self.program(&format!("bin/{name}"), script);
    }

    fn program(&self, file: &str, script: &str) {
        fs::write(self.path(file), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(self.path(file), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Takes programs away, to where the stub of a package manager fetches them from.
    fn without(self, programs: &[&str]) -> Self {
        for program in programs {
            fs::rename(self.path(&format!("bin/{program}")), self.path(&format!("packages/{program}")))
                .unwrap();
        }
        self
    }

    /// Adds a package manager that writes down what it is asked, and brings all that was taken away.
    fn with_manager(self, name: &str) -> Self {
        self.put(
            name,
            &format!("echo \"{name} $*\" >>\"$HOME/log\"\ncp \"$HOME\"/packages/* \"$HOME/bin/\""),
        );
        self
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Runs the set-up, without a terminal.
    fn setup(&self, arguments: &[&str]) -> Ran {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/setup");
        let mut command = Command::new("/bin/sh");
        command.arg(script).args(arguments).stdin(Stdio::null()).env_clear();
        command.env("PATH", self.path("bin")).env("HOME", self.dir.path());
        command.env("SSL_CERT_FILE", self.path("certificates"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        finish(&mut command)
    }

    /// What the stubs were asked, a line each.
    fn asked(&self) -> Vec<String> {
        fs::read_to_string(self.path("log")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Runs it where it must install nothing: exit code 2, nobody was asked for anything. Returns what it said.
    #[track_caller]
    fn refuses(&self, arguments: &[&str]) -> String {
        let ran = self.setup(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
        assert_eq!(self.asked(), [""; 0], "{}", ran.stderr);
        ran.stderr
    }

    /// Runs it where it installs and goes on: the stubs are asked this, then cargo.
    #[track_caller]
    fn asks(&self, task: &str, expected: &[&str]) {
        let ran = self.setup(&[task]);
        assert_eq!(ran.code, 7, "{}", ran.stderr);
        let asked = self.asked();
        assert_eq!(asked[..asked.len() - 1], *expected, "{}", ran.stderr);
        assert!(asked[asked.len() - 1].starts_with("cargo "), "{asked:?}");
    }
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn a_complete_machine_goes_on() {
    let machine = Machine::new();
    for arguments in
        [&["run", "--for", "15s"][..], &["run", "--", "--for", "1s"], &["test", "--test", "house"]]
    {
        let ran = machine.setup(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (7, ""), "cargo's own exit code, and not a word");
    }
    let quickstart = "cargo run --release --example quickstart --";
    assert_eq!(
        machine.asked(),
        [&format!("{quickstart} --for 15s"), &format!("{quickstart} --for 1s"), "cargo test --test house"]
    );
    assert_eq!(Machine::new().setup(&["tools"]).code, 0);
    says(&Machine::new().refuses(&["nonsense"]), &["usage"]);
}

#[test]
fn without_a_terminal_nothing_is_installed() {
    let machine = Machine::new().without(&["cc", "java", "make", "mvn", "perl"]).with_manager("apt-get");
    let said = machine.refuses(&["test"]);
    says(
        &said,
        &[
            "a compiler for C and C++",
            "make",
            "perl",
            "a JDK, version 17",
            "Maven",
            "apt-get install",
            "YES=1",
        ],
    );
    let said = machine.refuses(&["run"]);
    assert!(!said.contains("JDK") && !said.contains("Maven"), "the quickstart needs neither:\n{said}");
    machine.set("YES", "0").refuses(&["run"]);
}

#[test]
fn debian_gets_its_packages() {
    let update = "apt-get update";
    let install = "apt-get install --yes --no-remove --no-install-recommends";
    let yes = || Machine::new().set("YES", "1").with_manager("apt-get");
    let all = ["cc", "java", "make", "mvn", "perl"];
    yes().without(&all).asks(
        "test",
        &[update, &format!("{install} gcc g++ libc6-dev make perl default-jdk-headless maven")],
    );
    yes().without(&all).asks("run", &[update, &format!("{install} gcc g++ libc6-dev make perl")]);
    yes().without(&["c++"]).asks("run", &[update, &format!("{install} gcc g++ libc6-dev")]);
    yes().without(&["javac"]).asks("test", &[update, &format!("{install} default-jdk-headless")]);
}

#[test]
fn fedora_and_homebrew_get_theirs() {
    let all = ["cc", "java", "make", "mvn", "perl"];
    let machine = Machine::new().set("YES", "1").with_manager("dnf").without(&all);
    machine.asks("test", &["dnf install --assumeyes gcc gcc-c++ make perl java-devel maven"]);
    let brew = |machine: Machine| {
        let machine = machine.set("YES", "1").with_manager("brew");
        machine.put(
            "brew",
            "[ \"$1\" != --prefix ] || { echo \"$HOME\"; exit 0; }\n\
             echo \"brew $*\" >>\"$HOME/log\"; cp \"$HOME\"/packages/* \"$HOME/bin/\"",
        );
        machine
    };
    // It refuses to run as root, and needs no sudo.
    let machine = brew(Machine::new()).without(&["java", "mvn"]);
    machine.put("id", "echo 501");
    machine.asks("test", &["brew install openjdk maven"]);
    let mac = brew(Machine::new()).without(&["cc", "make"]);
    mac.put("uname", "echo Darwin");
    says(&mac.refuses(&["run"]), &["can't be installed from here", "xcode-select --install"]);
}

#[test]
fn what_is_too_old_is_told_with_its_version() {
    let machine = Machine::new().with_manager("apt-get");
    machine.put("rustc", "echo 'rustc 1.80.1 (3f5fd8dd4 2024-08-06)'");
    machine.put("java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2");
    let said = machine.refuses(&["test"]);
    says(&said, &[&format!("Rust {RUST} or later (this is 1.80.1)"), "version 17 or later (this is 11)"]);
    machine.put("java", "echo 'java version \"1.8.0_402\"' >&2");
    says(&machine.refuses(&["test"]), &["(this is 1)"]);
    let newer = Machine::new();
    newer.put("rustc", "echo 'rustc 2.0.0-nightly (0000 2030-01-01)'");
    newer.put("java", "echo 'openjdk version \"26-ea\" 2026-03-17' >&2");
    assert_eq!(newer.setup(&["tools"]).code, 0);
}

#[test]
fn rust_comes_by_rustup() {
    let install = format!("rustup toolchain install --profile minimal {RUST}");
    let rustup = format!(
        "echo \"rustup $*\" >>\"$HOME/log\"\nprintf '#!/bin/sh\\necho rustc {RUST}.1\\n' >\"$HOME/bin/rustc\""
    );
    // A toolchain that is too old, and rustup at hand: no package is needed.
    let machine = Machine::new().set("YES", "1").with_manager("apt-get");
    machine.put("rustc", "echo 'rustc 1.80.1 (3f5fd8dd4 2024-08-06)'");
    machine.put("rustup", &rustup);
    machine.asks("run", &[&install]);
    // Nothing of Rust: the package first.
    let machine = Machine::new().set("YES", "1").with_manager("apt-get").without(&["cargo", "rustc"]);
    machine.program("packages/rustup", &rustup);
    machine.asks(
        "run",
        &["apt-get update", "apt-get install --yes --no-remove --no-install-recommends rustup", &install],
    );
    // Fedora's package is the installer.
    let machine = Machine::new().set("YES", "1").with_manager("dnf").without(&["cargo", "rustc"]);
    machine.program("packages/rustup-init", &rustup.replace("rustup $*", "rustup-init $*"));
    let init = format!("rustup-init -y --no-modify-path --profile minimal --default-toolchain {RUST}");
    machine.asks("run", &["dnf install --assumeyes rustup", &init]);
    // No package manager that we know.
    says(&Machine::new().without(&["rustc"]).refuses(&["run"]), &["https://rustup.rs"]);
}

#[test]
fn who_is_not_root_needs_sudo() {
    let machine = Machine::new().set("YES", "1").with_manager("apt-get").without(&["make"]);
    machine.put("id", "echo 1000");
    says(&machine.refuses(&["run"]), &["sudo apt-get update", "there is no sudo"]);
    machine.put("sudo", "echo \"sudo $1\" >>\"$HOME/log\"; exec \"$@\"");
    machine.asks(
        "run",
        &[
            "sudo apt-get",
            "apt-get update",
            "sudo env",
            "apt-get install --yes --no-remove --no-install-recommends make",
        ],
    );
}

#[test]
fn variables_take_the_place_of_packages() {
    let machine = Machine::new().without(&["mvn"]).set("KAFKA_HOME", "/kafka");
    says(&machine.refuses(&["test"]), &["Maven", "KAFKA_HOME_3_9"]);
    assert_eq!(machine.set("KAFKA_HOME_3_9", "/kafka-3.9").setup(&["test"]).code, 7);
    // The one on the path does not count, and no package can mend it.
    let machine = Machine::new().set("YES", "1").with_manager("apt-get").set("JAVA_HOME", "/nowhere");
    says(&machine.refuses(&["test"]), &["JAVA_HOME, /nowhere", "unset JAVA_HOME"]);
}

#[test]
fn what_can_not_be_installed_is_an_error() {
    let machine = Machine::new().set("YES", "1").without(&["make"]);
    machine.put("apt-get", "echo 'no network' >&2; exit 100");
    let ran = machine.setup(&["run"]);
    assert_eq!((ran.code, machine.asked()), (1, vec![]));
    says(&ran.stderr, &["no network", "that failed"]);
    machine.put("apt-get", "");
    let ran = machine.setup(&["run"]);
    assert_eq!((ran.code, machine.asked()), (1, vec![]));
    says(&ran.stderr, &["still missing", "make"]);
}
