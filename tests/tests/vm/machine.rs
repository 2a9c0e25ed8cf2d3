//! A virtual machine with the appliance on it: its disk, its TPM and its firmware's variables, and a way to run commands in it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use holdfast_tests::wait;

/// The longest that a boot may take, emulated on a busy machine.
pub const BOOT: Duration = Duration::from_mins(12);

/// Succeeds when every daemon runs, has said that it is ready, and the page is served.
pub const SERVING: &str =
    "systemctl is-active holdfast-{console,incident-recorder,inference,quarantine,registry,vault}.service &&
    exec 3<>/dev/tcp/127.0.0.1/8480 && holdfast models --json";

/// What a command in the machine came to.
#[derive(Debug)]
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// What it said on both streams.
    pub output: String,
}

impl Answer {
    /// What it said, if it ended well.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.output);
        self.output
    }
}

/// A machine that is off.
#[derive(Debug)]
pub struct Machine {
    directory: PathBuf,
    copied: bool,
    firmware: Option<&'static str>,
}

impl Drop for Machine {
    /// Of a copy that was done with only the logs are kept: disks are large.
    fn drop(&mut self) {
        if self.copied && !std::thread::panicking() {
            let _ = std::fs::remove_file(self.directory.join("disk.raw"));
        }
    }
}

/// A machine that is on. It is turned off, as by pulling its plug, when this is dropped.
#[derive(Debug)]
pub struct Running {
    process: Child,
    directory: PathBuf,
    serial: UnixStream,
    begun: Instant,
    received: Vec<u8>,
    count: u32,
    contained: bool,
}

/// The image that `make vm-test` built, and the keys it is signed with.
pub fn image() -> PathBuf {
    let directory = std::env::var_os("HOLDFAST_VM_IMAGE").expect("run this through `make vm-test`");
    let mut images: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            // holdfast_0.1.0.raw is the disk; a partition's name has more in it.
            path.extension().is_some_and(|extension| extension == "raw")
                && name.starts_with("holdfast_")
                && name.matches('.').count() == 3
        })
        .collect();
    images.sort();
    images.pop().expect("there is an image")
}

impl Machine {
    /// A new machine of that name, with the image on its disk and an empty TPM.
    pub fn new(name: &str) -> Self {
        let directory = results().join(name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        Self {
            directory,
            copied: false,
            firmware: None,
        }
    }

    /// The machine of that name that an earlier run left, if it did.
    pub fn existing(name: &str) -> Option<Self> {
        let directory = results().join(name);
        directory.join("disk.raw").exists().then_some(Self {
            directory,
            copied: false,
            firmware: None,
        })
    }

    /// The same machine again: disk, TPM and variables are copied, so that what is done to the copy leaves this one whole.
    pub fn copy(&self, name: &str) -> Self {
        let mut copy = Self::new(name);
        copy.copied = true;
        let status = Command::new("cp")
            .args(["-a", "--sparse=always"])
            .arg(format!("{}/.", self.directory.display()))
            .arg(&copy.directory)
            .status()
            .unwrap();
        assert!(status.success());
        for log in std::fs::read_dir(&copy.directory).unwrap() {
            let log = log.unwrap().path();
            if log.extension().is_some_and(|extension| extension == "log") {
                std::fs::remove_file(log).unwrap();
            }
        }
        copy
    }

    /// From now on it starts with another firmware: a file of OVMF's.
    pub fn flash(&mut self, firmware: &'static str) {
        self.firmware = Some(firmware);
    }

    /// The state of its TPM.
    pub fn tpm(&self) -> PathBuf {
        self.directory.join("tpm")
    }

    /// Runs a script where the image's tools are, for example to change what is on the disk while the machine is off.
    pub fn tools(&self, script: &str) -> String {
        let output = Command::new(holdfast_tests::source().join("os-image/tools"))
            .arg("--read-write")
            .arg(&self.directory)
            .args(["bash", "-euc", script, "tools"])
            .arg(&self.directory)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "{script}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn log(&self, boot: u32) -> PathBuf {
        self.directory.join(format!("console-{boot}.log"))
    }

    fn start(&self) -> (Child, Instant) {
        for left in ["serial", "swtpm.sock", "monitor"] {
            let _ = std::fs::remove_file(self.directory.join(left));
        }
        // What earlier boots said is kept, the first as console-1.log.
        let earlier = (1..1000).find(|boot| !self.log(*boot).exists()).unwrap();
        let _ = std::fs::rename(self.directory.join("console.log"), self.log(earlier));
        let begun = Instant::now();
        let log = File::create(self.directory.join("vm.log")).unwrap();
        let process = Command::new(holdfast_tests::source().join("scripts/vm"))
            .args(["--test", "--machine"])
            .arg(&self.directory)
            .args((!self.directory.join("disk.raw").exists()).then(image))
            .envs(self.firmware.map(|firmware| ("HOLDFAST_VM_FIRMWARE", firmware)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        (process, begun)
    }

    /// Turns it on and waits until commands can be run in it.
    pub fn boot(&self) -> Running {
        let (mut process, begun) = self.start();
        let socket = self.directory.join("serial");
        let serial = wait::until("the machine to be turned on", BOOT, || {
            assert!(process.try_wait().unwrap().is_none(), "{}", self.console());
            UnixStream::connect(&socket).ok()
        });
        serial.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut running = Running {
            process,
            directory: self.directory.clone(),
            serial,
            begun,
            received: Vec::new(),
            count: 0,
            contained: false,
        };
        running.await_shell();
        running
    }

    /// Turns it on and waits until it turns itself off, which it must. What was to be seen at the serial console.
    pub fn boot_that_ends(&self) -> String {
        let (mut process, _) = self.start();
        let ended = wait::maybe(BOOT, || process.try_wait().unwrap());
        if ended.is_none() {
            process.kill().unwrap();
            process.wait().unwrap();
            panic!("the machine went on:\n{}", self.console());
        }
        self.console()
    }

    /// Turns it on and waits until its screen says `sign`, where nothing goes on by itself; then pulls the plug.
    pub fn boot_that_says(&self, sign: &str) -> String {
        let (mut process, _) = self.start();
        let said = wait::maybe(BOOT, || self.console().contains(sign).then_some(()));
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(said.is_some(), "{sign:?} was not said:\n{}", self.console());
        self.console()
    }

    /// What was to be seen at the serial console.
    pub fn console(&self) -> String {
        console(&self.directory)
    }
}

impl Running {
    /// The image's root as a container, on this machine's kernel.
    pub fn container(name: &str) -> Self {
        let machine = Machine::new(name);
        let (serial, theirs) = UnixStream::pair().unwrap();
        serial.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let images = image().parent().unwrap().to_owned();
        let log = File::create(machine.directory.join("container.log")).unwrap();
        let begun = Instant::now();
        let process = Command::new(holdfast_tests::source().join("scripts/container"))
            .arg(images)
            .arg(&machine.directory)
            .stdin(OwnedFd::from(theirs.try_clone().unwrap()))
            .stdout(OwnedFd::from(theirs))
            .stderr(log)
            .spawn()
            .unwrap();
        let mut running = Self {
            process,
            directory: machine.directory.clone(),
            serial,
            begun,
            received: Vec::new(),
            count: 0,
            contained: true,
        };
        running.await_shell();
        running
    }

    /// Whether this is a container, without a kernel and devices of its own.
    pub const fn contained(&self) -> bool {
        self.contained
    }

    /// How long ago the machine was turned on.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The boot cannot be asked before its root is mounted: ask until it answers.
    fn await_shell(&mut self) {
        loop {
            if let Some(answer) = self.ask("true", Duration::from_secs(10)) {
                // A container's first process may not be there yet.
                if answer.code == 0 {
                    return;
                }
            }
            let over = self.process.try_wait().unwrap().is_some() || self.elapsed() > BOOT;
            assert!(!over, "no answer from the machine:\n{}", console(&self.directory));
        }
    }

    /// Runs a script in the machine, as root and outside of every service.
    pub fn run(&mut self, script: &str) -> Answer {
        self.ask(script, Duration::from_mins(11))
            .unwrap_or_else(|| panic!("no answer to {script}:\n{}", console(&self.directory)))
    }

    /// Runs a script in the machine again and again until it succeeds; what it says then.
    pub fn until(&mut self, what: &str, script: &str) -> String {
        let again = format!(
            "for attempt in {{1..100}}; do
                said=$({{ {script}
                }} 2>&1) && {{ echo \"$said\"; exit 0; }}
                sleep 1
            done
            echo \"$said\"
            exit 1"
        );
        let answer = self.run(&again);
        assert_eq!(answer.code, 0, "{what}: {}", answer.output);
        answer.output
    }

    fn ask(&mut self, script: &str, patience: Duration) -> Option<Answer> {
        self.count += 1;
        let id = format!("{}-{}", std::process::id(), self.count);
        let line = format!("\n{id} {}\n", BASE64_STANDARD.encode(script));
        self.serial.write_all(line.as_bytes()).ok()?;
        let until = Instant::now() + patience;
        let mut buffer = [0; 4096];
        while Instant::now() < until {
            match self.serial.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(_) => continue,
            }
            while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                if let Some(answer) = parse(&id, &String::from_utf8_lossy(&line)) {
                    return Some(answer);
                }
            }
        }
        None
    }

    /// Waits until the machine has started everything.
    pub fn await_suite(&mut self) -> Duration {
        let up = wait::maybe(BOOT, || {
            let state = self.run("systemctl is-active holdfast.target multi-user.target");
            (state.code == 0).then(|| self.elapsed())
        });
        up.unwrap_or_else(|| {
            panic!(
                "{}\n{}",
                self.run("systemctl list-jobs; systemctl --failed").output,
                console(&self.directory)
            )
        })
    }

    /// Waits until the machine has started what there is to start while the vault is shut.
    pub fn await_shut(&mut self) {
        let up = wait::maybe(BOOT, || {
            (self
                .run("holdfast vault --json")
                .output
                .contains("\"problem\":\""))
            .then_some(())
        });
        assert!(up.is_some(), "{}", console(&self.directory));
    }

    /// Begins a script that the machine will not live to answer.
    pub fn leave(&mut self, script: &str) {
        let _ = self.ask(script, Duration::from_secs(1));
    }

    /// Gives QEMU's monitor a command: what happens to the machine from outside.
    pub fn monitor(&self, command: &str) {
        let mut monitor = UnixStream::connect(self.directory.join("monitor")).unwrap();
        writeln!(monitor, "{command}").unwrap();
        // Its prompt comes again when the command is done.
        let mut said = String::new();
        let mut buffer = [0; 1024];
        while said.matches("(qemu)").count() < 2 {
            let count = monitor.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "{said}");
            said.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }

    /// Waits until the machine has ended by itself, or pulls its plug when it has not within `patience`. Whether it ended.
    pub fn ends(mut self, patience: Duration) -> bool {
        wait::maybe(patience, || self.process.try_wait().unwrap()).is_some()
    }

    /// Turns it off in order, and waits until it is off.
    pub fn shut_down(mut self) {
        let _ = self.ask("systemctl --no-block poweroff", Duration::from_secs(20));
        let off = wait::maybe(Duration::from_mins(4), || self.process.try_wait().unwrap());
        assert!(
            off.is_some(),
            "it does not turn off:\n{}",
            console(&self.directory)
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `ID STATUS BASE64`; anything else is the line's own echo or noise.
fn parse(id: &str, line: &str) -> Option<Answer> {
    let mut words = line.trim().split(' ');
    if words.next()? != id {
        return None;
    }
    let code = words.next()?.parse().ok()?;
    let output = BASE64_STANDARD.decode(words.next().unwrap_or_default()).ok()?;
    Some(Answer {
        code,
        output: String::from_utf8_lossy(&output).into_owned(),
    })
}

fn console(directory: &Path) -> String {
    let log = std::fs::read(directory.join("console.log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&log).replace('\r', "\n");
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Where machines and their logs are kept.
fn results() -> PathBuf {
    let directory = std::env::var_os("HOLDFAST_VM_RESULTS").expect("run this through `make vm-test`");
    PathBuf::from(directory)
}
