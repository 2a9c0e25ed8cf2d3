//! The kernel's side: a HID device that this process plays (`linux/uhid.h`). Every event is a structure of the same size, packed.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes of a report, each way.
pub const REPORT: usize = 64;

/// Bytes of an event: its type, and the largest member, which is the one that creates a device.
const EVENT: usize = 4 + 128 + 64 + 64 + 2 + 2 + 4 * 4 + 4096;
const OUTPUT: u32 = 6;
const CREATE: u32 = 11;
const INPUT: u32 = 12;
const BUS_USB: u16 = 3;

/// FIDO's usage page, and one report of 64 bytes each way.
const DESCRIPTOR: [u8; 34] = [
    0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01, 0x09, 0x20, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95,
    0x40, 0x81, 0x02, 0x09, 0x21, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91, 0x02, 0xc0,
];

/// The device. It is unplugged when this is dropped.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// Plugs it in.
    ///
    /// # Errors
    ///
    /// When the kernel has no uhid.
    pub fn create() -> anyhow::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/uhid")
            .context("open /dev/uhid")?;
        let mut event = Vec::with_capacity(EVENT);
        event.extend(CREATE.to_le_bytes());
        let mut field = |text: &[u8], length: usize| {
            event.extend(text);
            event.resize(event.len() + length - text.len(), 0);
        };
        field(b"Holdfast software security key", 128);
        field(b"software", 64);
        field(b"", 64);
        event.extend(u16::try_from(DESCRIPTOR.len())?.to_le_bytes());
        event.extend(BUS_USB.to_le_bytes());
        // Vendor and product of an open-source project (pid.codes); version; country.
        for number in [0x1209_u32, 0xf1d0, 1, 0] {
            event.extend(number.to_le_bytes());
        }
        event.extend(DESCRIPTOR);
        event.resize(EVENT, 0);
        file.write_all(&event).context("create the device")?;
        Ok(Self(file))
    }

    /// The next report from the machine; none after `patience`.
    ///
    /// # Errors
    ///
    /// When the kernel takes the device away.
    pub fn receive(&self, patience: Option<Duration>) -> anyhow::Result<Option<[u8; REPORT]>> {
        let patience = patience.map(Timespec::try_from).transpose()?;
        loop {
            let mut ready = [PollFd::new(&self.0, PollFlags::IN)];
            if poll(&mut ready, patience.as_ref()).context("wait for the machine")? == 0 {
                return Ok(None);
            }
            let mut event = [0; EVENT];
            (&self.0).read(&mut event).context("hear the machine")?;
            let (kind, rest) = event.split_at(4);
            if kind != OUTPUT.to_le_bytes() {
                continue;
            }
            // A zero comes first where reports have no numbers.
            let length = usize::from(u16::from_le_bytes([rest[4096], rest[4097]]));
            let data = &rest[length.saturating_sub(REPORT).min(1)..];
            let mut report = [0; REPORT];
            report.copy_from_slice(&data[..REPORT]);
            return Ok(Some(report));
        }
    }

    /// Sends a report to the machine.
    ///
    /// # Errors
    ///
    /// When the kernel takes the device away.
    pub fn send(&self, report: &[u8; REPORT]) -> anyhow::Result<()> {
        let mut event = Vec::with_capacity(EVENT);
        event.extend(INPUT.to_le_bytes());
        event.extend(u16::try_from(REPORT)?.to_le_bytes());
        event.extend(report);
        event.resize(EVENT, 0);
        (&self.0).write_all(&event).context("answer the machine")
    }
}
