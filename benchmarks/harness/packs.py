"""Splits files into packs small enough to be sent a few at a time, and puts them together on arrival."""

import lzma
import tarfile
from hashlib import sha256
from pathlib import Path

MIB = 2**20


def pack(sources: list[Path], root: Path, folder: Path, mib: float) -> list[Path]:
    """Write one compressed archive of files and folders under `root` as packs of at most `mib` MiB."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / "whole.tar.xz"
    with tarfile.open(whole, "w:xz", preset=1) as archive:
        for source in sources:
            archive.add(source, arcname=source.resolve().relative_to(root.resolve()))
    size, total = int(mib * MIB), whole.stat().st_size
    count = -(-total // size)
    digest = sha256(whole.read_bytes()).hexdigest()[:12]
    packs = []
    with whole.open("rb") as content:
        for number in range(1, count + 1):
            packs.append(folder / f"{digest}-{number}-of-{count}.pack")
            packs[-1].write_bytes(content.read(size))
    whole.unlink()
    return packs


def unpack(folder: Path, root: Path) -> str:
    """Unpack under `root` each archive whose packs have all arrived; returns a report, with the packs still missing.

    Raises:
        SystemExit: packs are damaged.
    """
    said = []
    for digest in sorted({each.name.split("-")[0] for each in folder.glob("*.pack")}):
        packs = sorted(folder.glob(f"{digest}-*.pack"), key=number_of)
        count = int(packs[0].stem.split("-")[-1])
        if missing := sorted(set(range(1, count + 1)) - {number_of(each) for each in packs}):
            said.append(f"{digest}: packs {missing} of {count} have not arrived.")
            continue
        content = b"".join(each.read_bytes() for each in packs)
        if sha256(content).hexdigest()[:12] != digest:
            raise SystemExit(f"{folder}: the packs {digest}-* are damaged; send them again.")
        whole = folder / "whole.tar.xz"
        whole.write_bytes(content)
        try:
            with lzma.open(whole) as stream, tarfile.open(fileobj=stream) as archive:
                archive.extractall(root, filter="data")
        finally:
            whole.unlink()
        said.append(f"{digest}: unpacked into {root}.")
    return "\n".join(said) or f"{folder}: there are no packs."


def number_of(pack: Path) -> int:
    """Number of a pack within its archive, from 1."""
    return int(pack.stem.split("-")[1])
