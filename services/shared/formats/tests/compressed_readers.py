"""The reference programs for compressed files: Python's own modules, `zstandard` and `lz4` from PyPI if they are there.

`make` prints, for each setting, its format, a name and the compressed content of standard input, in hexadecimal. `read` takes
lines of a format and a compressed file and prints `refused`, or a checksum of what comes out.
"""

import bz2
import gzip
import io
import lzma
import sys
import zlib

try:
    import zstandard
except ImportError:
    zstandard = None
try:
    import lz4.frame
except ImportError:
    lz4 = None


def settings(content):
    half = len(content) // 2
    for level in (1, 9):
        yield "gzip", f"level {level}", gzip.compress(content, level)
        yield "zlib", f"level {level}", zlib.compress(content, level)
        yield "bzip2", f"level {level}", bz2.compress(content, level)
    yield "bzip2", "two streams", bz2.compress(content[:half]) + bz2.compress(content[half:])
    for preset in range(10):
        yield "xz", f"preset {preset}", lzma.compress(content, preset=preset)
        yield "lzma", f"preset {preset}", lzma.compress(content, format=lzma.FORMAT_ALONE, preset=preset)
    for check in (lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_SHA256):
        yield "xz", f"check {check}", lzma.compress(content, check=check)
    for lc, lp, pb in ((0, 4, 0), (4, 0, 4), (1, 2, 3)):
        filters = [{"id": lzma.FILTER_LZMA2, "lc": lc, "lp": lp, "pb": pb, "dict_size": 1 << 16}]
        yield "xz", f"lc {lc} lp {lp} pb {pb}", lzma.compress(content, filters=filters)
        filters[0]["id"] = lzma.FILTER_LZMA1
        yield "lzma", f"lc {lc} lp {lp} pb {pb}", lzma.compress(content, format=lzma.FORMAT_ALONE, filters=filters)
    both = lzma.compress(content[:half]) + b"\0" * 8 + lzma.compress(content[half:], check=lzma.CHECK_CRC32) + b"\0" * 4
    yield "xz", "two streams and zeros", both
    if zstandard:
        for level in (1, 3, 19):
            for flags in range(4):
                maker = zstandard.ZstdCompressor(
                    level=level, write_checksum=bool(flags & 1), write_content_size=bool(flags & 2)
                )
                yield "zstd", f"level {level} flags {flags}", maker.compress(content)
        maker = zstandard.ZstdCompressor()
        yield "zstd", "two frames", maker.compress(content[:half]) + maker.compress(content[half:])
        stream = zstandard.ZstdCompressor(level=3).compressobj()
        parts = [stream.compress(content[:half]), stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)]
        yield "zstd", "stream", b"".join(parts + [stream.compress(content[half:]), stream.flush()])
    if lz4:
        for size in (4, 5, 6, 7):
            for flags in range(16):
                packed = lz4.frame.compress(
                    content,
                    block_size=size,
                    block_linked=bool(flags & 1),
                    content_checksum=bool(flags & 2),
                    block_checksum=bool(flags & 4),
                    store_size=bool(flags & 8),
                )
                yield "lz4", f"size {size} flags {flags}", packed
        yield "lz4", "two frames", lz4.frame.compress(content[:half]) + lz4.frame.compress(content[half:])


def unpack(kind, packed):
    if kind == "gzip":
        return gzip.decompress(packed)
    if kind == "zlib":
        return zlib.decompress(packed)
    if kind == "bzip2":
        return bz2.decompress(packed)
    if kind in ("xz", "lzma"):
        return lzma.decompress(packed, memlimit=256 << 20)
    if kind == "zstd":
        with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
            return reader.read()
    with lz4.frame.open(io.BytesIO(packed)) as file:
        return file.read()


if sys.argv[1] == "make":
    for kind, name, packed in settings(sys.stdin.buffer.read()):
        print(kind, name.replace(" ", "-"), packed.hex())
else:
    for line in sys.stdin:
        kind, packed = line.split()
        try:
            print(f"{zlib.crc32(unpack(kind, bytes.fromhex(packed))):08x}")
        except Exception:
            print("refused")
