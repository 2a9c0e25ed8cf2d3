//! Pickles that use what weights need for something else: types of NumPy that turn numbers into pointers, and work without end.

use holdfast_formats::Inspector;
use holdfast_formats::pickle::{Context, Pickle};
use holdfast_formats::testing::Assembler;

/// The ids without the note that an admitted pickle gets.
fn only(bytes: &[u8]) -> Vec<String> {
    let mut pickle = Pickle::new(Context::File);
    pickle.feed(0, bytes);
    let (findings, _) = pickle.conclude(bytes.len() as u64);
    let mut ids: Vec<_> = findings
        .into_parts()
        .0
        .into_iter()
        .map(|finding| finding.id)
        .collect();
    ids.retain(|id| id != "HF-PKL-016");
    ids.dedup();
    ids
}

fn start() -> Assembler {
    Assembler::protocol(4)
}

/// `numpy.dtype('V8')` without its state.
fn void(pickle: Assembler) -> Assembler {
    pickle
        .stack_global("numpy", "dtype")
        .text("V8")
        .raw(b"\x89\x88\x87R")
}

/// The state of a type of eight bytes: its base, its names and its fields are what `parts` writes.
fn state(pickle: Assembler, parts: impl FnOnce(Assembler) -> Assembler, flags: i32) -> Assembler {
    let pickle = pickle.raw(b"(").int(3).text("|");
    parts(pickle).int(8).int(1).int(flags).raw(b"tb")
}

fn plain(pickle: Assembler) -> Assembler {
    state(pickle, |pickle| pickle.raw(b"NNN"), 0)
}

/// A list of names and a dictionary of fields, each with its type and place.
fn fields(pickle: Assembler, fields: &[(&str, &str, i32)]) -> Assembler {
    let mut pickle = pickle.raw(b"N(");
    for (name, ..) in fields {
        pickle = pickle.text(name);
    }
    pickle = pickle.raw(b"t}(");
    for (name, code, at) in fields {
        pickle = pickle.text(name).dtype(code).int(*at).raw(b"\x86");
    }
    pickle.raw(b"u")
}

fn array(pickle: Assembler) -> Assembler {
    pickle
        .stack_global("numpy._core.multiarray", "_reconstruct")
        .stack_global("numpy", "ndarray")
        .ints(&[0])
        .bytes(b"b")
        .raw(b"\x87R")
}

#[test]
fn a_structured_type_is_admitted() {
    let pickle = array(start()).raw(b"(").int(1).ints(&[1]);
    let both = [("a", "f4", 0), ("b", "i4", 4)];
    let pickle = state(void(pickle), |pickle| fields(pickle, &both), 0);
    assert_eq!(
        only(&pickle.raw(b"\x89").bytes(&[0; 8]).raw(b"tb").stop()),
        [""; 0]
    );
}

#[test]
fn a_type_in_use_does_not_change() {
    // An array of plain bytes, whose type then becomes one of objects: what was written is followed as a pointer.
    let pickle = plain(void(start().raw(b"]("))).put(1);
    let pickle = array(pickle).raw(b"(").int(1).ints(&[1]).get(1);
    let pickle = pickle.raw(b"\x89").bytes(&[0x41; 8]).raw(b"tb").get(1);
    let pickle = state(pickle, |pickle| fields(pickle, &[("a", "O8", 0)]), 63);
    assert_eq!(only(&pickle.raw(b"e").stop()), ["HF-PKL-008"]);
    // The same, where the type gets its first state after it was used.
    for user in [
        array(void(start().raw(b"](")).put(1))
            .raw(b"(")
            .int(1)
            .ints(&[1])
            .get(1)
            .raw(b"\x89")
            .bytes(&[0x41; 8])
            .raw(b"tb"),
        void(start().raw(b"]("))
            .put(1)
            .stack_global("numpy._core.multiarray", "scalar")
            .get(1)
            .bytes(&[0x41; 8])
            .raw(b"\x86R"),
        void(start().raw(b"]("))
            .put(1)
            .stack_global("numpy._core.numeric", "_frombuffer")
            .raw(b"(")
            .bytes(&[0x41; 8])
            .get(1)
            .ints(&[1])
            .text("C")
            .raw(b"tR"),
    ] {
        let pickle = state(user.get(1), |pickle| fields(pickle, &[("a", "O8", 0)]), 63);
        let ids = only(&pickle.raw(b"e").stop());
        assert!(ids == ["HF-PKL-008"] || ids == ["HF-PKL-003"], "{ids:?}");
    }
}

#[test]
fn nothing_lies_where_objects_are() {
    let of = |places: &[(&str, &str, i32)]| {
        let pickle = state(void(start()), |pickle| fields(pickle, places), 63);
        only(&pickle.stop())
    };
    assert_eq!(of(&[("a", "O8", 0)]), [""; 0]);
    assert_eq!(of(&[("a", "O8", 0), ("b", "i8", 0)]), ["HF-PKL-008"]);
    assert_eq!(of(&[("a", "i4", 4), ("b", "O8", 0)]), ["HF-PKL-008"]);
    assert_eq!(of(&[("a", "O8", 0), ("b", "O8", 4)]), ["HF-PKL-008"]);
}

#[test]
fn parts_of_a_type_lie_within_it() {
    let of = |times: i32| {
        let parts = |pickle: Assembler| pickle.dtype("f8").ints(&[times]).raw(b"\x86NN");
        only(&state(void(start()), parts, 0).stop())
    };
    assert_eq!(of(1), [""; 0]);
    assert_eq!(of(100_000_000), ["HF-PKL-008"]);
    let misnamed = |pickle: Assembler| {
        pickle
            .raw(b"N")
            .text("b")
            .raw(b"\x85}")
            .text("a")
            .dtype("f8")
            .int(0)
            .raw(b"\x86s")
    };
    assert_eq!(only(&state(void(start()), misnamed, 0).stop()), ["HF-PKL-008"]);
}

#[test]
fn a_class_that_is_no_number_stands_for_objects() {
    for (module, name) in [
        ("builtins", "list"),
        ("numpy.dtypes", "ObjectDType"),
        ("numpy.dtypes", "StringDType"),
    ] {
        let pickle = start()
            .stack_global("numpy._core.multiarray", "scalar")
            .stack_global("numpy", "dtype")
            .stack_global(module, name)
            .raw(b"\x89\x88\x87R")
            .bytes(&[0x41; 8])
            .raw(b"\x86R");
        assert_eq!(only(&pickle.stop()), ["HF-PKL-003"], "{name}");
    }
}

/// A number of five bytes.
const LARGE: &[u8] = b"\x8a\x05\0\0\0\0\x10";

#[test]
fn built_in_types_make_no_more_than_they_are_given() {
    let range = || {
        start()
            .stack_global("builtins", "list")
            .stack_global("builtins", "range")
            .raw(LARGE)
            .raw(b"\x85R\x85R")
    };
    assert_eq!(only(&range().stop()), ["HF-PKL-003"]);
    for kind in ["tuple", "set", "frozenset", "bytes"] {
        let pickle = start()
            .stack_global("builtins", kind)
            .stack_global("builtins", "range")
            .raw(LARGE)
            .raw(b"\x85R\x85R");
        assert_eq!(only(&pickle.stop()), ["HF-PKL-003"], "{kind}");
    }
    let bytes = start().stack_global("builtins", "bytes").raw(LARGE).raw(b"\x85R");
    assert_eq!(only(&bytes.stop()), ["HF-PKL-003"]);
    let fraction = |text: &str| {
        only(
            &start()
                .stack_global("fractions", "Fraction")
                .text(text)
                .raw(b"\x85R")
                .stop(),
        )
    };
    assert_eq!(fraction("-1/3"), [""; 0]);
    assert_eq!(fraction("1e99999999"), ["HF-PKL-003"]);
    let number = start()
        .stack_global("builtins", "int")
        .stack_global("decimal", "Decimal")
        .text("1e99999999")
        .raw(b"\x85R\x85R");
    assert_eq!(only(&number.stop()), ["HF-PKL-003"]);
}

/// A tuple that holds one twice, that holds one twice, and so on; the last is on the stack.
fn doubled(levels: u8) -> Assembler {
    let mut pickle = start().int(1).put(0);
    for level in 0..levels {
        pickle = pickle.raw(b"0").get(level).get(level).raw(b"\x86").put(level + 1);
    }
    pickle
}

#[test]
fn hashing_what_grows_is_refused_whatever_becomes_of_it() {
    assert_eq!(
        only(&doubled(3).put(100).raw(b"0}").get(100).raw(b"Ns").stop()),
        [""; 0]
    );
    for use_it in [&b"Ns0N"[..], b"NNNu0N"] {
        let mark = if use_it.starts_with(b"NN") {
            &b"0}("[..]
        } else {
            b"0}"
        };
        let pickle = doubled(60).put(100).raw(mark).get(100).raw(use_it);
        assert_eq!(only(&pickle.stop()), ["HF-PKL-013"]);
    }
    let set = doubled(60).put(100).raw(b"0(").get(100).raw(b"\x910N");
    assert_eq!(only(&set.stop()), ["HF-PKL-013"]);
    let call = doubled(60)
        .put(100)
        .raw(b"0")
        .stack_global("builtins", "set")
        .raw(b"]")
        .get(100)
        .raw(b"a\x85R0N");
    assert_eq!(only(&call.stop()), ["HF-PKL-013"]);
    // Each is small enough, and there are many.
    let many = doubled(20)
        .put(100)
        .raw(b"0")
        .raw(&b"}h\x64Ns0".repeat(1000))
        .raw(b"N");
    assert_eq!(only(&many.stop()), ["HF-PKL-013"]);
    let text = doubled(60)
        .put(100)
        .raw(b"0")
        .stack_global("builtins", "str")
        .get(100)
        .raw(b"\x85R0N");
    assert!(only(&text.stop()).contains(&"HF-PKL-003".to_owned()));
}

#[test]
fn copying_the_same_again_and_again_is_refused() {
    let mut list = start().raw(b"](");
    for number in 0..2000_u16 {
        list = list.raw(b"M").raw(&number.to_le_bytes());
    }
    let list = || list.clone().raw(b"e").put(0).raw(b"0");
    let sets = |times: usize| {
        let pickle = list().stack_global("builtins", "set").put(1).raw(b"0](");
        only(&pickle.raw(&b"h\x01h\x00\x85R".repeat(times)).raw(b"e").stop())
    };
    assert_eq!(sets(3), [""; 0]);
    assert_eq!(sets(3000), ["HF-PKL-013"]);
    // Arrays of another byte order are copies of their bytes.
    let big = start().bytes(&vec![0; 8000]).put(0).raw(b"0");
    let big = big
        .stack_global("numpy", "dtype")
        .text("f8")
        .raw(b"\x89\x88\x87R(")
        .int(3)
        .text(">");
    let mut big = big
        .raw(b"NNN")
        .int(-1)
        .int(-1)
        .int(0)
        .raw(b"tb")
        .put(1)
        .raw(b"0](");
    for _ in 0..2000 {
        big = array(big)
            .raw(b"(")
            .int(1)
            .ints(&[1000])
            .get(1)
            .raw(b"\x89")
            .get(0)
            .raw(b"tb");
    }
    assert_eq!(only(&big.raw(b"e").stop()), ["HF-PKL-013"]);
}
