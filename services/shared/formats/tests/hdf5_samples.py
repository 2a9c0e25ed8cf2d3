"""Writes HDF5 files and Keras models in the ways that h5py and Keras have, to the directory that is named."""

import sys
from pathlib import Path

import h5py
import numpy as np

directory = Path(sys.argv[1])


def everything(file):
    group = file.create_group("layers/dense")
    for index in range(7):
        group.attrs[f"k{index}"] = "v" * index
    file.attrs["names"] = [b"abc", b"de"]
    file.attrs["texts"] = ["x", "yy"]
    file.attrs["empty"] = h5py.Empty("f4")
    file.attrs["numbers"] = np.arange(5)
    file["x"] = np.arange(100, dtype="f4")
    file["big-endian"] = np.arange(10, dtype=">i8")
    file["half"] = np.zeros(3, "f2")
    file["scalar"] = np.float64(3)
    file["nothing"] = np.zeros((0, 3))
    file["truth"] = np.array([True, False])
    file["complex"] = np.array([1j])
    file["texts"] = np.array([b"abc", b"d"])
    file["more-texts"] = ["hello", "w"]
    file.create_dataset(
        "packed", data=np.random.rand(100, 100), compression="gzip", shuffle=True, fletcher32=True, chunks=(30, 30)
    )
    file.create_dataset("pieces", data=np.random.rand(100, 100), chunks=(30, 30))
    file.create_dataset("grows", data=np.arange(1000), chunks=(10,), maxshape=(None,))
    file["soft"] = h5py.SoftLink("/layers/dense")
    file["hard"] = file["x"]


with h5py.File(directory / "ok-everything.h5", "w") as file:
    everything(file)
    for index in range(500):
        file[f"many/d{index}"] = np.arange(index % 50)
with h5py.File(directory / "ok-v108.h5", "w", libver=("earliest", "v108")) as file:
    everything(file)
with h5py.File(directory / "ok-deleted.h5", "w") as file:
    for index in range(50):
        file[f"z{index}"] = np.random.rand(30)
    for index in range(0, 50, 2):
        del file[f"z{index}"]
    for index in range(20):
        file[f"emptied/with a longer name {index}"] = np.arange(3)
    for index in range(20):
        del file[f"emptied/with a longer name {index}"]
with h5py.File(directory / "ok-new.h5", "w", libver=("v110", "v110")) as file:
    file["a/b/x"] = np.arange(10)
    file["a/b/x"].attrs["note"] = "text"
    file.create_dataset("one", data=np.random.rand(10, 10), chunks=(10, 10), compression="gzip")
    file.create_dataset("listed", data=np.random.rand(100, 100), chunks=(10, 10), compression="gzip")
    file.create_dataset("plain", data=np.random.rand(100, 100), chunks=(10, 10))
    file.create_dataset("paged", data=np.arange(20000), chunks=(5,))


def growing(file):
    for name, options in [("plain", {}), ("packed", {"compression": "gzip", "shuffle": True, "fletcher32": True})]:
        for count in [0, 1, 3, 4, 5, 20, 21, 200]:
            file.create_dataset(f"{name}/{count}", data=np.arange(count), chunks=(1,), maxshape=(None,), **options)
        # The other dimension is not as large as it may become, and the one without a limit is not the first.
        file.create_dataset(f"{name}/wide", data=np.random.rand(50, 7), chunks=(2, 3), maxshape=(None, 20), **options)
        file.create_dataset(f"{name}/high", data=np.random.rand(7, 5, 50), chunks=(2, 2, 3), maxshape=(9, 5, None), **options)
        file.create_dataset(f"{name}/both", data=np.random.rand(40, 30), chunks=(3, 4), maxshape=(None, None), **options)
        file.create_dataset(f"{name}/small", data=np.random.rand(2, 2), chunks=(3, 4), maxshape=(None, None), **options)
        shrunk = file.create_dataset(f"{name}/shrunk", data=np.arange(300), chunks=(2,), maxshape=(None,), **options)
        shrunk.resize((31,))
        # Long enough for blocks in pages.
        file.create_dataset(f"{name}/long", data=np.arange(40000, dtype="u1"), chunks=(1,), maxshape=(None,), **options)


for name in ["v110", "v114", "latest"]:
    with h5py.File(directory / f"ok-growing-{name}.h5", "w", libver=("v110" if name == "v110" else name, name)) as file:
        growing(file)
with h5py.File(directory / "ok-tree.h5", "w", libver=("v110", "v110")) as file:
    file.create_dataset("deep", data=np.arange(30000, dtype="u1").reshape(150, 200), chunks=(1, 1), maxshape=(None, None))
with h5py.File(directory / "bad-gap.h5", "w", libver=("v110", "v110")) as file:
    gap = file.create_dataset("x", (100,), "f4", chunks=(10,), maxshape=(None,))
    gap[:20] = 1
    gap[90:] = 1
for name, options in [
    ("tracked", {"track_order": True}),
    ("v108", {"libver": ("v108", "v108")}),
    ("v110", {"libver": ("v110", "v110")}),
]:
    with h5py.File(directory / f"ok-many-{name}.h5", "w", **options) as file:
        for index in range(1200):
            file[f"layers/dataset_{index}"] = np.arange(index % 7)
        for index in range(300):
            file.attrs[f"attribute {index}"] = "v" * (index % 60)
        file.attrs["long"] = np.array([b"x" * 50] * 200)
with h5py.File(directory / "ok-fewer.h5", "w", libver=("v110", "v110")) as file:
    for index in range(200):
        file[f"d{index}"] = np.arange(3)
    for index in range(0, 200, 3):
        del file[f"d{index}"]
with h5py.File(directory / "bad-description.h5", "w", libver=("v110", "v110")) as file:
    for index in range(20):
        file.attrs[f"attribute {index}"] = "x"
    layer = '{"class_name": "Lambda", "config": {"function": ["4wEA", null, null]}}'
    file.attrs["model_config"] = '{"class_name": "Sequential", "config": [' + layer + "]}"
with h5py.File(directory / "bad-external.h5", "w") as file:
    file.create_dataset("x", (100,), "u1", external=[("/etc/passwd", 0, 100)])
with h5py.File(directory / "bad-link.h5", "w") as file:
    file["x"] = h5py.ExternalLink("/etc/passwd", "/")
with h5py.File(directory / "bad-virtual.h5", "w") as file:
    layout = h5py.VirtualLayout((10,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (10,))
    file.create_virtual_dataset("x", layout)
with h5py.File(directory / "bad-reference.h5", "w") as file:
    file["x"] = np.arange(3)
    file.attrs["reference"] = file["x"].ref
with h5py.File(directory / "bad-lists.h5", "w") as file:
    lists = file.create_dataset("x", (1,), h5py.vlen_dtype(np.int32))
    lists[0] = [1, 2, 3]
with h5py.File(directory / "bad-plug-in.h5", "w") as file:
    file.create_dataset("x", data=np.zeros(1000), compression="lzf")
with h5py.File(directory / "bad-huge.h5", "w") as file:
    file.create_dataset("x", (1 << 40,), "f8")
with h5py.File(directory / "bad-sparse.h5", "w") as file:
    file.create_dataset("x", (1 << 40,), "f8", chunks=(1024,))
with h5py.File(directory / "bad-user-block.h5", "w", userblock_size=512) as file:
    file["x"] = np.arange(3)
with h5py.File(directory / "bad-named-type.h5", "w") as file:
    file["type"] = np.dtype("f4")
with h5py.File(directory / "bad-circle.h5", "w") as file:
    file["a/b"] = file.create_group("c")
    file["c/d"] = file["a"]

try:
    import os

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import keras
    from keras import layers
except Exception:
    print("no keras")
    sys.exit(0)

model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        layers.Conv2D(8, 3, activation="relu", kernel_regularizer="l2"),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dense(10, activation=keras.activations.softmax),
    ]
)
model.compile(
    optimizer=keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(1e-3, 100, 0.9)),
    loss=keras.losses.SparseCategoricalCrossentropy(),
    metrics=["accuracy"],
)
model.save(directory / "ok-sequential.keras")
model.save(directory / "ok-sequential.h5")
model.save_weights(directory / "ok-sequential.weights.h5")
inputs = keras.Input((10,), dtype="int32")
x = layers.Embedding(100, 16)(inputs)
x = layers.MultiHeadAttention(2, 8)(x, x) + 1.0
x = layers.Bidirectional(layers.LSTM(8))(x)
model = keras.Model(inputs, keras.ops.sin(x)[:, :2])
model.save(directory / "ok-functional.keras")
model.save(directory / "ok-functional.h5")
keras.config.set_dtype_policy("bfloat16")
keras.Sequential([keras.Input((8,)), layers.Dense(4)]).save(directory / "ok-bfloat16.keras")
keras.config.set_dtype_policy("float32")
evil = keras.Sequential([keras.Input((8,)), layers.Lambda(lambda x: x)])
evil.save(directory / "bad-lambda.keras")
evil.save(directory / "bad-lambda.h5")


class Mine(layers.Layer):
    def call(self, x):
        return x


keras.Sequential([keras.Input((8,)), Mine()]).save(directory / "bad-custom.keras")
