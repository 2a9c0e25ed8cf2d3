//! What libcryptsetup can do and its crate does not wrap: resuming and adding a key by token, a security key without a PIN, and hearing
//! what went wrong.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use libcryptsetup_rs::{CryptDevice, LibcryptErr};
use libcryptsetup_rs_sys as sys;

/// Type of the token of a security key.
pub const SECURITY_KEY: &CStr = c"systemd-fido2";

/// The last error that libcryptsetup or a token's plug-in logged.
static LAST_ERROR: Mutex<String> = Mutex::new(String::new());

/// An open device. The pointer is the one that `device` owns and frees.
pub struct Device {
    /// As the crate wraps it.
    pub device: CryptDevice,
    pointer: *mut sys::crypt_device,
}

/// What opens a volume.
#[derive(Clone, Copy)]
pub enum Key<'a> {
    /// A token of this type, without a PIN.
    Token(&'a CStr),
    /// The FIDO2 security key of one token.
    Fido {
        /// The token's number.
        token: u32,
        /// The PIN, where the token asks for one.
        pin: Option<&'a [u8]>,
    },
    /// A passphrase.
    Passphrase(&'a [u8]),
}

/// A token as libcryptsetup is asked for one: which type, which number, and the PIN.
struct Wanted {
    kind: *const c_char,
    number: c_int,
    pin: *const c_char,
    pin_bytes: usize,
}

impl Wanted {
    fn any(kind: &CStr) -> Self {
        Self {
            kind: kind.as_ptr(),
            number: sys::CRYPT_ANY_TOKEN,
            pin: ptr::null(),
            pin_bytes: 0,
        }
    }

    /// No PIN is a null pointer: an empty one would be tried at the key.
    fn security_key(token: u32, pin: Option<&[u8]>) -> Self {
        Self {
            kind: SECURITY_KEY.as_ptr(),
            number: token.cast_signed(),
            pin: pin.map_or(ptr::null(), |pin| pin.as_ptr().cast::<c_char>()),
            pin_bytes: pin.map_or(0, <[u8]>::len),
        }
    }
}

fn checked(code: c_int) -> Result<(), LibcryptErr> {
    if code < 0 {
        return Err(LibcryptErr::IOError(std::io::Error::from_raw_os_error(-code)));
    }
    Ok(())
}

fn text(text: &str) -> Result<CString, LibcryptErr> {
    CString::new(text).map_err(LibcryptErr::NullError)
}

impl Device {
    /// The device or header at `path`.
    pub fn open(path: &Path) -> Result<Self, LibcryptErr> {
        let path = text(&path.to_string_lossy())?;
        let mut pointer = ptr::null_mut();
        #[expect(
            unsafe_code,
            reason = "the pointer is needed for the calls below, and the crate does not hand it out"
        )]
        // SAFETY: both pointers are valid for the call, which sets `pointer` on success.
        checked(unsafe { sys::crypt_init(&raw mut pointer, path.as_ptr()) })?;
        Ok(Self {
            device: CryptDevice::from_ptr(pointer),
            pointer,
        })
    }

    /// Gives the kernel the key of the suspended device `name` back.
    pub fn resume(&mut self, name: &str, key: Key<'_>) -> Result<(), LibcryptErr> {
        let name = text(name)?;
        let wanted = match key {
            Key::Token(kind) => Wanted::any(kind),
            Key::Fido { token, pin } => Wanted::security_key(token, pin),
            Key::Passphrase(bytes) => {
                #[expect(unsafe_code, reason = "as below")]
                // SAFETY: the device is open, both pointers are valid for the call, the length is that of the slice.
                return checked(unsafe {
                    sys::crypt_resume_by_passphrase(
                        self.pointer,
                        name.as_ptr(),
                        sys::CRYPT_ANY_SLOT,
                        bytes.as_ptr().cast::<c_char>(),
                        bytes.len(),
                    )
                });
            }
        };
        #[expect(unsafe_code, reason = "the crate wraps no resuming by token")]
        // SAFETY: the device is open; what `wanted` points to lives as long as `key`; lengths are those of the slices.
        checked(unsafe {
            sys::crypt_resume_by_token_pin(
                self.pointer,
                name.as_ptr(),
                wanted.kind,
                wanted.number,
                wanted.pin,
                wanted.pin_bytes,
                ptr::null_mut(),
            )
        })
    }

    /// Maps the volume as `name` with a security key.
    pub fn activate_by_security_key(
        &mut self,
        name: &str,
        token: u32,
        pin: Option<&[u8]>,
    ) -> Result<(), LibcryptErr> {
        let name = text(name)?;
        let wanted = Wanted::security_key(token, pin);
        #[expect(
            unsafe_code,
            reason = "the crate knows no difference between no PIN and an empty one"
        )]
        // SAFETY: the device is open; what `wanted` points to lives as long as `pin`; lengths are those of the slices.
        checked(unsafe {
            sys::crypt_activate_by_token_pin(
                self.pointer,
                name.as_ptr(),
                wanted.kind,
                wanted.number,
                wanted.pin,
                wanted.pin_bytes,
                ptr::null_mut(),
                0,
            )
        })
    }

    /// Adds a keyslot for `new`, with what opens the volume now. Returns its number.
    pub fn add_keyslot(&mut self, key: Key<'_>, new: &[u8]) -> Result<u32, LibcryptErr> {
        let existing = self.context(key)?;
        let added = self.context(Key::Passphrase(new))?;
        #[expect(unsafe_code, reason = "the crate wraps no adding of keys by token")]
        // SAFETY: the device is open and both contexts are alive.
        let slot = unsafe {
            sys::crypt_keyslot_add_by_keyslot_context(
                self.pointer,
                sys::CRYPT_ANY_SLOT,
                existing.0,
                sys::CRYPT_ANY_SLOT,
                added.0,
                0,
            )
        };
        checked(slot)?;
        Ok(slot.unsigned_abs())
    }

    fn context<'a>(&mut self, key: Key<'a>) -> Result<Context<'a>, LibcryptErr> {
        let mut context = ptr::null_mut();
        let wanted = match key {
            Key::Token(kind) => Wanted::any(kind),
            Key::Fido { token, pin } => Wanted::security_key(token, pin),
            Key::Passphrase(bytes) => {
                #[expect(unsafe_code, reason = "the crate does not wrap keyslot contexts")]
                // SAFETY: the device is open; the context keeps a pointer into `key`, which its lifetime outlives.
                checked(unsafe {
                    sys::crypt_keyslot_context_init_by_passphrase(
                        self.pointer,
                        bytes.as_ptr().cast::<c_char>(),
                        bytes.len(),
                        &raw mut context,
                    )
                })?;
                return Ok(Context(context, std::marker::PhantomData));
            }
        };
        #[expect(unsafe_code, reason = "the crate does not wrap keyslot contexts")]
        // SAFETY: the device is open; the context keeps pointers into `key`, which its lifetime outlives.
        checked(unsafe {
            sys::crypt_keyslot_context_init_by_token(
                self.pointer,
                wanted.number,
                wanted.kind,
                wanted.pin,
                wanted.pin_bytes,
                ptr::null_mut(),
                &raw mut context,
            )
        })?;
        Ok(Context(context, std::marker::PhantomData))
    }
}

/// A keyslot context, freed (and what it holds wiped) when dropped.
struct Context<'a>(
    *mut sys::crypt_keyslot_context,
    std::marker::PhantomData<&'a [u8]>,
);

impl Drop for Context<'_> {
    fn drop(&mut self) {
        #[expect(
            unsafe_code,
            reason = "the context was made by libcryptsetup, which alone can free it"
        )]
        // SAFETY: made by `context` above, freed once.
        unsafe {
            sys::crypt_keyslot_context_free(self.0);
        }
    }
}

/// Keeps what libcryptsetup says instead of printing it, which it would do to standard output.
pub fn listen() {
    libcryptsetup_rs::set_log_callback::<()>(Some(heard), None);
}

/// What was said last.
pub fn last_error() -> String {
    LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[expect(unsafe_code, reason = "libcryptsetup calls it with a C string")]
unsafe extern "C" fn heard(level: c_int, message: *const c_char, _: *mut c_void) {
    if message.is_null() {
        return;
    }
    // SAFETY: libcryptsetup passes a string that ends with a zero byte and lives for the call.
    let message = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    let message = message.trim();
    if level == sys::CRYPT_LOG_ERROR.cast_signed() {
        tracing::warn!(message, "libcryptsetup");
        message.clone_into(&mut LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner));
    } else {
        tracing::debug!(message, "libcryptsetup");
    }
}
