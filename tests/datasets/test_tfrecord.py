"""TFRecord files: records, Examples, and everything that can be wrong with either."""

import gzip
import pathlib
import struct
import tracemalloc

import numpy as np
import pytest
from tensorflow_datasets.proto import tf_example_generated_pb2 as tf_example_pb2

from ocgm.datasets.builders import record_stream, tfrecord
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.tfrecord import Field
from ocgm.datasets.builders.tfrecord_writer import framed, serialized, write_records
from ocgm.wire_format import masked_crc32c


def fail(error: SourceError) -> None:
    raise error


def read(path: pathlib.Path, compressed: bool = True, on_corrupt=fail) -> list[bytes | None]:
    return list(record_stream.read_records(path, compressed=compressed, on_corrupt=on_corrupt))


def read_on(path: pathlib.Path, compressed: bool = True) -> tuple[list[bytes | None], list[str]]:
    """The records of a damaged file, and the errors."""
    errors = []
    return read(path, compressed, errors.append), list(map(str, errors))


@pytest.fixture(scope="module")
def published(fixtures):
    return read(fixtures / "tetrominoes_mini.tfrecords")


# ---- Examples


def by_library(record: bytes) -> dict[str, np.ndarray | list[bytes]]:
    """What protobuf's own class makes of an Example."""
    kinds = {"float_list": np.float32, "int64_list": np.int64}
    features = {}
    for name, feature in tf_example_pb2.Example.FromString(record).features.feature.items():
        kind = feature.WhichOneof("kind")
        values = list(getattr(feature, kind).value) if kind else []
        if kind in kinds:
            features[name] = np.array(values, kinds[kind])
        elif values and all(len(value) == 1 for value in values):
            features[name] = np.frombuffer(b"".join(values), np.uint8)
        else:
            features[name] = values
    return features


def assert_same(actual: dict, expected: dict) -> None:
    assert actual.keys() == expected.keys()
    for name, values in expected.items():
        assert type(actual[name]) is type(values), name
        if isinstance(values, np.ndarray):
            assert actual[name].dtype == values.dtype, name
        np.testing.assert_array_equal(actual[name], values, name)


def test_published_records(published):
    assert len(published) == 10
    for record in published:
        assert_same(tfrecord.parse_example(record), by_library(record))
    example = tfrecord.parse_example(published[0])
    assert {name: len(values) for name, values in example.items()} == {
        **{"image": 3675, "mask": 4900, "color": 12},
        **{"x": 4, "y": 4, "shape": 4, "visibility": 4},
    }


def random_feature(rng: np.random.Generator) -> np.ndarray | list[bytes]:
    count = int(rng.choice([0, 1, 2, 3, 50, 300]))
    match rng.integers(4):
        case 0:
            return rng.integers(0, 256, count, np.uint8)
        case 1:  # Lengths about that of a one-byte string, and bytes that look like its frame.
            return [bytes(rng.choice([1, 10, 255], rng.integers(3)).tolist()) for _ in range(count)]
        case 2:
            return rng.normal(size=count).astype(np.float32)
        case _:
            low, high = ((-(2**63), 2**63 - 1), (-3, 300))[rng.integers(2)]
            return rng.integers(low, high, count)


def test_random_examples():
    rng = np.random.default_rng(0)
    for _ in range(300):
        names = [f"{'long/' * int(rng.integers(40))}{i}-é" for i in range(rng.integers(6))]
        record = serialized(**{name: random_feature(rng) for name in names})
        assert_same(tfrecord.parse_example(record), by_library(record))


def test_lists_that_are_not_packed():
    """Numbers may have a field each; the library writes one field for all."""

    def example(feature: bytes) -> bytes:
        entry = b"\x0a\x01f\x12" + bytes([len(feature)]) + feature
        return bytes([0x0A, len(entry) + 2, 0x0A, len(entry)]) + entry

    floats = b"".join(b"\x0d" + struct.pack("<f", value) for value in (0.5, -2))
    record = example(bytes([0x12, len(floats)]) + floats)
    assert_same(tfrecord.parse_example(record), {"f": np.array([0.5, -2], np.float32)})
    record = example(b"\x1a\x04\x08\x07\x08\x05")
    assert_same(tfrecord.parse_example(record), {"f": np.array([7, 5])})
    # Two lists of one kind, two of different kinds, no list at all.
    for feature in (b"\x0a\x03\x0a\x01a" * 2, b"\x0a\x03\x0a\x01a\x1a\x02\x08\x07"):
        with pytest.raises(ValueError, match="not a single list"):
            tfrecord.parse_example(example(feature))
    for feature in (b"\x22\x02\x08\x07", b"\x08\x07"):
        with pytest.raises(ValueError, match="a feature is no"):
            tfrecord.parse_example(example(feature))


def test_malformed_examples():
    """Cut off anywhere, or with any bit changed, an Example is an error or another Example."""
    values = {"image": np.arange(9, dtype=np.uint8), "name": [b"ab", b"c"], "n": np.array([1, 300])}
    record = serialized(**values, x=np.ones(2, np.float32))
    for length in range(1, len(record)):
        with pytest.raises(ValueError):
            tfrecord.parse_example(record[:length])
    errors = 0
    for bit in range(8 * len(record)):
        damaged = bytearray(record)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            tfrecord.parse_example(bytes(damaged))
        except ValueError:
            errors += 1
    assert errors > 8 * len(record) / 4


FIELDS = {"x": Field(np.float32, (2, 1)), "image": Field(np.uint8, (1, 2)), "s": Field(bytes, (1,))}


def read_example(path, fields=FIELDS, **features):
    write_records(path, [serialized(**features)])
    (example,) = tfrecord.read_examples(path, fields, compressed=True, on_corrupt=fail)
    return example


def test_fields(tmp_path):
    pixels, floats = np.array([5, 6], np.uint8), np.array([1, 2], np.float32)
    example = read_example(tmp_path / "f", x=floats, image=pixels, s=[b"x"], more=[b"y"])
    assert_same(example, {"x": floats[:, None], "image": pixels[None], "s": [b"x"]})


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"image": None}, "it has no feature 'image', only .*x"),
        ({"image": [b"ab", b"c"]}, "'image' is 2 bytes, not 2 uint8"),
        ({"image": np.zeros(3, np.uint8)}, "'image' is 3 uint8, not 2 uint8"),
        ({"x": np.zeros(2, np.int64)}, "'x' is 2 int64, not 2 float32"),
        ({"s": []}, "'s' is 0 bytes, not 1 bytes"),
    ],
)
def test_fields_that_are_not_as_they_should_be(tmp_path, changes, message):
    features = {"x": np.zeros(2, np.float32), "image": np.zeros(2, np.uint8), "s": [b"x"]}
    features = {name: v for name, v in (features | changes).items() if v is not None}
    with pytest.raises(SourceError, match=f"f: record 0 is not one of .*{message}"):
        read_example(tmp_path / "f", **features)


# ---- records


@pytest.mark.parametrize("compressed", [True, False])
def test_sizes(tmp_path, compressed):
    """Records smaller than what is read at once, larger, and empty ones."""
    rng = np.random.default_rng(0)
    records = [rng.bytes(size) for size in (0, 1, 100, 5_000_000, 3, 0)] + [b"a" * 9_000_000, b"z"]
    write_records(tmp_path / "f", records, compressed)
    assert read(tmp_path / "f", compressed) == records


def test_files_strung_together(tmp_path):
    records = [b"a" * 1000, b"b", b"c" * 10]
    (tmp_path / "f").write_bytes(b"".join(gzip.compress(framed(record)) for record in records))
    assert read(tmp_path / "f") == records


def test_memory(tmp_path):
    """A file of 400 MB that is 400 kB compressed."""
    part = gzip.compress(framed(bytes(4_000_000)) * 10)
    (tmp_path / "f").write_bytes(part * 10)
    tracemalloc.start()
    records = record_stream.read_records(tmp_path / "f", compressed=True, on_corrupt=fail)
    assert sum(len(record) for record in records) == 400_000_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6


def test_progress_bar(fixtures, capsys):
    path = fixtures / "tetrominoes_mini.tfrecords"
    records = record_stream.read_records(path, compressed=True, on_corrupt=fail, label="Pieces")
    assert len(list(records)) == 10
    shown = capsys.readouterr().err
    assert "Pieces: 100%" in shown
    assert "3.71k/3.71k" in shown
    assert "10 records" in shown


# ---- faults


def test_damaged_record(tmp_path):
    records = [b"first", b"second", b"third"]
    data = b"".join(map(framed, records)).replace(b"second", b"secOnd")
    for compressed in (True, False):
        (tmp_path / "f").write_bytes(gzip.compress(data) if compressed else data)
        with pytest.raises(SourceError, match="f: record 1 is damaged .*: download the file"):
            read(tmp_path / "f", compressed)
        found, (error,) = read_on(tmp_path / "f", compressed)
        assert found == [b"first", None, b"third"]
        assert "f: record 1 is damaged" in error


def test_absurd_length(tmp_path):
    """With the right checksum; nothing is read or reserved for it."""
    for length in (2**26 + 1, 2**40, 2**64 - 1):
        head = struct.pack("<Q", length)
        head += struct.pack("<I", masked_crc32c(head))
        (tmp_path / "f").write_bytes(gzip.compress(framed(b"first") + head + bytes(50_000_000), 1))
        tracemalloc.start()
        found, (error,) = read_on(tmp_path / "f", compressed=True)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 5e6
        assert found == [b"first"]
        assert "f cannot be read from record 1 on (it would have" in error


def test_damaged_length(tmp_path):
    data = bytearray(b"".join(map(framed, [b"first", b"second", b"third"])))
    data[len(framed(b"first"))] ^= 1
    (tmp_path / "f").write_bytes(data)
    found, (error,) = read_on(tmp_path / "f", compressed=False)
    assert found == [b"first"]
    assert "cannot be read from record 1 on (its length is damaged" in error


@pytest.mark.parametrize("compressed", [True, False])
def test_cut_off_anywhere(tmp_path, compressed):
    records = [np.random.default_rng(i).bytes(20) for i in range(3)]
    write_records(tmp_path / "f", records, compressed)
    whole = (tmp_path / "f").read_bytes()
    ends = np.cumsum([len(framed(record)) for record in records]).tolist()
    for length in range(2, len(whole)):
        (tmp_path / "f").write_bytes(whole[:length])
        found, errors = read_on(tmp_path / "f", compressed)
        assert found == records[: len(found)]
        if compressed or length not in ends:  # A plain file may end after any record.
            (error,) = errors
            assert f"from record {len(found)} on (the file is cut off)" in error
        if not compressed:
            assert len(found) == sum(end <= length for end in ends)


def test_damaged_anywhere(fixtures, published, tmp_path):
    """Whichever byte is damaged: what is read is right, and something is said."""
    whole = (fixtures / "tetrominoes_mini.tfrecords").read_bytes()
    start = whole.index(b"\0", 10) + 1  # Behind the header, which ends with a file's name.
    for position in range(start, len(whole), 5):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        (tmp_path / "f").write_bytes(damaged)
        errors = []
        try:
            found = read(tmp_path / "f", on_corrupt=errors.append)
        except SourceError as error:  # At the very beginning.
            assert "not a TFRecord file" in str(error)
            continue
        assert errors
        assert all(
            record in (None, expected) for record, expected in zip(found, published, strict=False)
        )


@pytest.mark.parametrize(
    "content,compressed,message",
    [
        (b"", True, "is not the published file, which is compressed with GZIP"),
        (b"<html>404</html>", True, "is not the published file, which is compressed with GZIP"),
        (gzip.compress(b"another file of text"), True, "is not a TFRecord file"),
        (b"another file of text", False, "is not a TFRecord file"),
        (gzip.compress(framed(b"record")), False, "is not a TFRecord file"),
        (gzip.compress(framed(b"record")), True, "record 0 is not one of .*not a tf.train.Example"),
    ],
    # Not from the contents: gzip's hold the time, and two workers that collect in two seconds would differ.
    ids=("empty", "a page", "no records", "plain", "compressed", "no example"),
)
def test_other_files(tmp_path, content, compressed, message):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        list(tfrecord.read_examples(tmp_path / "f", {}, compressed=compressed, on_corrupt=fail))


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(SourceError, match="f cannot be read: No such file"):
        read(tmp_path / "f")
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        read(tmp_path)
