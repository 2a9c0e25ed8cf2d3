//! PyTorch's other containers: TorchScript programs, and the tar archives of 2016.

use super::{Assembler, Member, tar_archive, tar_member, weights};

/// The source of a small TorchScript program, to which lines of its last method can be appended.
pub const SOURCE: &str = "class Net(Module):
  __parameters__ = [\"w\", ]
  __buffers__ = []
  w : Tensor
  def forward(self: __torch__.Net,
    x: Tensor) -> Tensor:
    w = self.w
    _0 = torch.add(torch.matmul(x, w), CONSTANTS.c0, alpha=1)
    return (self).scale(_0, )
  def scale(self: __torch__.Net, x: Tensor) -> Tensor:
    return torch.mul(x, 2.5e-1)
";

/// The pickle of an instance of this class of a program, with one tensor of six numbers.
pub fn instance(module: &str, name: &str) -> Vec<u8> {
    Assembler::protocol(2)
        .global(module, name)
        .raw(b")\x81}(")
        .text("w")
        .tensor("FloatStorage", "0", &[2, 3])
        .raw(b"ub")
        .stop()
}

/// The members of a TorchScript archive with this source: data, its numbers, the source, notes on it, constants, theirs, and a version.
pub fn torchscript(source: &str) -> Vec<Member> {
    let constants = Assembler::protocol(2)
        .raw(b"(")
        .tensor("FloatStorage", "0", &[3])
        .raw(b"t")
        .stop();
    vec![
        Member::stored("net/data.pkl", &instance("__torch__", "Net")),
        Member::stored("net/data/0", &weights(24)),
        Member::stored("net/code/__torch__.py", source.as_bytes()),
        Member::stored("net/code/__torch__.py.debug_pkl", b"\x80\x02]."),
        Member::stored("net/constants.pkl", &constants),
        Member::stored("net/constants/0", &weights(12)),
        Member::stored("net/version", b"3\n"),
    ]
}

/// The part `storages` of a tar archive of 2016: one storage of six numbers.
pub fn tar_storages() -> Vec<u8> {
    let mut storages = Assembler::protocol(2).int(1).stop();
    let entry = Assembler::protocol(2)
        .raw(b"(")
        .int(111)
        .text("cpu")
        .global("torch", "FloatStorage")
        .raw(b"t");
    storages.extend(entry.stop());
    storages.extend(6_u64.to_le_bytes());
    storages.extend(weights(24));
    storages.extend(Assembler::protocol(2).raw(b"]").stop());
    storages
}

/// The part `tensors`: one tensor of two by three.
pub fn tar_tensors() -> Vec<u8> {
    let mut tensors = Assembler::protocol(2).int(1).stop();
    let entry = Assembler::protocol(2)
        .raw(b"(")
        .int(1)
        .int(111)
        .global("torch", "FloatTensor")
        .raw(b"t");
    tensors.extend(entry.stop());
    for number in [2_u64, 2, 3, 3, 1, 0] {
        tensors.extend(number.to_le_bytes());
    }
    tensors
}

/// A tar archive as PyTorch wrote it in 2016, around these parts.
pub fn tar(object: &[u8], storages: &[u8], tensors: &[u8]) -> Vec<u8> {
    let system = Assembler::protocol(2)
        .raw(b"}(")
        .text("protocol_version")
        .int(1000)
        .raw(b"u")
        .stop();
    tar_archive(&[
        tar_member("sys_info", b'0', &system),
        tar_member("pickle", b'0', object),
        tar_member("tensors", b'0', tensors),
        tar_member("storages", b'0', storages),
    ])
}

/// The part `pickle`: a dictionary with the tensor.
pub fn tar_object() -> Vec<u8> {
    Assembler::protocol(2)
        .global("collections", "OrderedDict")
        .raw(b")R(")
        .text("w")
        .text("1")
        .raw(b"Qu")
        .stop()
}
