//! Where pickles are found.

/// Where a pickle was found, which decides who reads it and what may follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// A file of its own: `pickle.load`, joblib or PyTorch's old format may read it.
    File,
    /// A member of a PyTorch archive, such as `data.pkl`: storages are other members, nothing follows the pickle.
    Member,
    /// The elements of a NumPy array of objects: nothing follows the pickle.
    Array,
    /// A member of a TorchScript archive, which may name the program's own classes: nothing follows the pickle.
    Script,
    /// The bytecode of a TorchScript program for phones: likewise, and its texts name operators.
    Bytecode,
    /// The object in PyTorch's format of 2016, which names what other members of the archive hold by number.
    TarObject,
    /// The storages of that format.
    TarStorages,
    /// The tensors of that format.
    TarTensors,
}
