//! What libcryptsetup can do and its crate does not wrap: resuming and adding a key by token, the volume's key from a security key, and
//! hearing what went wrong.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use libcryptsetup_rs::{CryptDevice, LibcryptErr};
use libcryptsetup_rs_sys as sys;
use zeroize::Zeroizing;

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
    /// A passphrase.
    Passphrase(&'a [u8]),
    /// The volume's key itself.
    Volume(&'a [u8]),
}

/// A token as libcryptsetup is asked for one: which type, which number, and the PIN.
struct Wanted<'a> {
    kind: *const c_char,
    number: c_int,
    pin: *const c_char,
    pin_bytes: usize,
    lives: PhantomData<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    fn any(kind: &'a CStr) -> Self {
        Self {
            kind: kind.as_ptr(),
            number: sys::CRYPT_ANY_TOKEN,
            pin: ptr::null(),
            pin_bytes: 0,
            lives: PhantomData,
        }
    }

    /// No PIN is a null pointer: an empty one would be tried at the key.
    fn security_key(token: u32, pin: Option<&'a [u8]>) -> Self {
        Self {
            kind: SECURITY_KEY.as_ptr(),
            number: token.cast_signed(),
            pin: pin.map_or(ptr::null(), |pin| pin.as_ptr().cast::<c_char>()),
            pin_bytes: pin.map_or(0, <[u8]>::len),
            lives: PhantomData,
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
            Key::Volume(bytes) => {
                #[expect(unsafe_code, reason = "as below")]
                // SAFETY: the device is open, both pointers are valid for the call, the length is that of the slice.
                return checked(unsafe {
                    sys::crypt_resume_by_volume_key(
                        self.pointer,
                        name.as_ptr(),
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

    /// The volume's key, from the security key of this token. Whatever is to be opened with it is still as it was.
    pub fn volume_key(&mut self, token: u32, pin: Option<&[u8]>) -> Result<Zeroizing<Vec<u8>>, LibcryptErr> {
        let context = self.context_of(&Wanted::security_key(token, pin))?;
        self.volume_key_of(&context)
    }

    fn volume_key_of(&mut self, context: &Context<'_>) -> Result<Zeroizing<Vec<u8>>, LibcryptErr> {
        #[expect(unsafe_code, reason = "it belongs to the call below")]
        // SAFETY: the device is open.
        let size = unsafe { sys::crypt_get_volume_key_size(self.pointer) };
        checked(size)?;
        let mut key = Zeroizing::new(vec![0; usize::try_from(size).unwrap_or_default()]);
        let mut length = key.len();
        #[expect(
            unsafe_code,
            reason = "the crate wraps no reading of the volume's key by context"
        )]
        // SAFETY: device and context are alive; the buffer is as long as `length` says, and no more than that is written.
        let slot = unsafe {
            sys::crypt_volume_key_get_by_keyslot_context(
                self.pointer,
                sys::CRYPT_ANY_SLOT,
                key.as_mut_ptr().cast::<c_char>(),
                &raw mut length,
                context.0,
            )
        };
        checked(slot)?;
        key.truncate(length);
        Ok(key)
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
        match key {
            Key::Token(kind) => return self.context_of(&Wanted::any(kind)),
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
            }
            Key::Volume(bytes) => {
                #[expect(unsafe_code, reason = "the crate does not wrap keyslot contexts")]
                // SAFETY: as above.
                checked(unsafe {
                    sys::crypt_keyslot_context_init_by_volume_key(
                        self.pointer,
                        bytes.as_ptr().cast::<c_char>(),
                        bytes.len(),
                        &raw mut context,
                    )
                })?;
            }
        }
        Ok(Context(context, PhantomData))
    }

    fn context_of<'a>(&mut self, wanted: &Wanted<'a>) -> Result<Context<'a>, LibcryptErr> {
        let mut context = ptr::null_mut();
        #[expect(unsafe_code, reason = "the crate does not wrap keyslot contexts")]
        // SAFETY: the device is open; the context keeps what `wanted` points to, which its lifetime outlives.
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
        Ok(Context(context, PhantomData))
    }
}

/// A keyslot context, freed (and what it holds wiped) when dropped.
struct Context<'a>(*mut sys::crypt_keyslot_context, PhantomData<&'a [u8]>);

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
