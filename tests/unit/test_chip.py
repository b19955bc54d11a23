"""Chip files: the published rates follow from the numbers, and a wrong file is refused by its key."""

import re
from pathlib import Path

import pytest
from mtia.isa.chip import known_chips, load_chip
from mtia.isa.errors import UserError

TARGETS = Path(__file__).parents[2] / "isa" / "targets"


def test_known_chips() -> None:
    assert known_chips() == ["mtia200", "mtia300"]


@pytest.mark.parametrize(("name", "tflops"), [("mtia200", 177), ("mtia300", 560)])
def test_matrix_peak_is_the_published_one(name: str, tflops: float) -> None:
    chip = load_chip(name)
    assert chip.dpe.fp16 * 2 * chip.pes * chip.clock_hz / 1e12 == pytest.approx(tflops, rel=0.005)
    assert chip.dpe.fp16 == chip.dpe.tiles * 32 * chip.dpe.slice_bytes // 2, "tiles x rows x slice gives the rate"


@pytest.mark.parametrize(("name", "sram", "local"), [("mtia200", 2.7, 1.0), ("mtia300", 11.4, 1.9)])
def test_bandwidths_are_the_published_ones(name: str, sram: float, local: float) -> None:
    chip = load_chip(name)
    assert chip.sram.bytes_per_clk * chip.clock_hz / 1e12 == pytest.approx(sram, rel=0.01)
    assert chip.ls.bytes_per_clk * chip.clock_hz / 1e12 == pytest.approx(local, rel=0.05)


@pytest.mark.parametrize("name", ["mtia200", "mtia300"])
def test_every_number_has_a_source(name: str) -> None:
    chip = load_chip(name)
    assert len(chip.sources) > 80
    for key, source in chip.sources.items():
        assert source.split(":")[0].split(" ")[0] in {"ISCA25", "ISCA26", "HEL", "derived", "defined"}, key


# Numbers that say what there is, not what it costs.
SIZES = {
    "clock_hz", "grid.rows", "grid.cols", "ls.bytes", "sram.bytes", "dram.bytes", "noc.kind", "re.bytes",
    "fi.align_bytes", "cp.circular_buffers", "cp.usable_circular_buffers", "se.reduce_rows", "se.int8", "se.fp8",
    "se.stochastic",
}  # fmt: skip
PRODUCTS = {"dpe.fp16", "dpe.bf16", "dpe.int8", "dpe.fp8", "dpe.tf32"}  # the slice of k says the same


@pytest.mark.parametrize("name", ["mtia200", "mtia300"])
def test_the_manual_says_what_each_number_costs(name: str) -> None:
    sources = load_chip(name).sources
    text = (TARGETS.parent / "chapters" / "40-timing.md").read_text()
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", text))
    assert named <= set(sources)
    ours = {key for key in sources if not key.startswith("hart.")}
    assert ours - named - SIZES - PRODUCTS == set()


@pytest.mark.parametrize("name", ["mtia200", "mtia300"])
def test_slices_and_rates_agree(name: str, tmp_path: Path) -> None:
    """A tile takes 32 x 32 elements by a slice in 32 clocks: the rates by type follow from the bytes of an element."""
    dpe = load_chip(name).dpe
    for rate, size in ((dpe.fp16, 2), (dpe.bf16, 2), (dpe.int8, 1), (dpe.fp8, 1), (dpe.tf32, 4)):
        assert rate in (0, 32 * dpe.tiles * dpe.slice_bytes // size)
    text = (TARGETS / f"{name}.toml").read_text()
    for key, message in (("fp16", "dpe.fp16"), ("bf16", "dpe.bf16"), ("tile", "dpe.fp16"), ("tiles", "dpe.fp16")):
        value = getattr(dpe, key)
        file = tmp_path / "bad.toml"
        file.write_text(re.sub(rf"(\n{key} = {{ value = ){value}\b", rf"\g<1>{value + value // 2}", text))
        with pytest.raises(UserError, match=f"'{message}' is .*tiles x tile x slice_bytes / bytes of a value"):
            load_chip(str(file))


def test_a_users_own_file(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    text = (TARGETS / "mtia200.toml").read_text()
    own.write_text(text.replace('name = "mtia200"', 'name = "mine"').replace("value = 393_216", "value = 524_288"))
    chip = load_chip(str(own))
    assert (chip.name, chip.ls.bytes) == ("mine", 524288)
    assert chip.key() != load_chip("mtia200").key()
    own.write_text(own.read_text().replace("value = 524_288", "value = 1_048_576"))
    assert load_chip(str(own)).ls.bytes == 1048576, "a changed file is read again"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rows = { value = 8", "rows = { value = 0", "'grid.rows' is 0; accepted: an integer from 1 to 64"),
        ("rows = { value = 8", 'rows = { value = "x"', "'grid.rows' is 'x'; accepted: an integer"),
        ("rows = { value = 8", "row = { value = 8", "unknown key 'grid.row'; accepted: cols, rows"),
        ('rows = { value = 8, source = "ISCA25 §3.1" }', "rows = 8", "'grid.rows' must be { value ="),
        ('"crossbar"', '"torus"', "'noc.kind' is 'torus'; accepted: crossbar, mesh"),
        ("value = 67_108_864", "value = 67_108_865", "'sram.lls_bytes' is 67108865; accepted: a multiple of"),
        ("usable_circular_buffers = { value = 14", "usable_circular_buffers = { value = 99", "from 1 to 16"),
        ("line_bytes = { value = 64", "line_bytes = { value = 65", "'noc.line_bytes' is 65; accepted: a power of two"),
        ("banks = { value = 16", "banks = { value = 12", "'dram.banks' is 12; accepted: a power of two"),
        ("interleave_bytes = { value = 256", "interleave_bytes = { value = 4096", "from noc.line_bytes (64) to dram."),
        ("[grid]", "[grid", "not a TOML file"),
        ("[launch]", "[lunch]", "unknown key 'lunch'"),
    ],
)
def test_a_wrong_file_names_the_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (TARGETS / "mtia200.toml").read_text()
    assert old in text
    bad = tmp_path / "bad.toml"
    bad.write_text(text.replace(old, new))
    with pytest.raises(UserError) as error:
        load_chip(str(bad))
    assert message in str(error.value)
    assert str(bad) in str(error.value)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UserError, match="known targets: mtia200, mtia300"):
        load_chip("mtia999")
