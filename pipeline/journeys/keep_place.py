"""How far a video was looked at, so that another worker can go on from there.

What is kept lies sealed under the upload's own key beside its job: which moments were looked at,
and which entries in force came near them; their hashes only where uploads leave theirs for those
who register later, and nothing of its faces, which are looked at in one go. It goes with the
answer, and whenever somebody withdraws: the work then begins anew if it is interrupted.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pipeline.domain.ids import entry_of
from pipeline.domain.media import Turn, View
from pipeline.journeys.watch import Glimpse, Watch
from pipeline.media.moments import Moment, Part, Sampling
from pipeline.ports import PendingFilm, Unit

_COLUMN = "pending_films.kept"


@dataclass(slots=True)
class Place:
    """Where the reading of a video stands."""

    sequence: int
    """The state of the index when the first moment was looked at."""
    seen: dict[int, list[float]] = field(default_factory=dict)
    filled: tuple[int, float] | None = None
    whole: bool = True
    """False once a moment came that no reading could be taken up from."""

    def pass_by(self, moment: Moment) -> None:
        """A moment has been looked at."""
        if moment.part is Part.KEYS:
            self.seen.setdefault(moment.stream, []).append(moment.time)
        elif moment.part is Part.GAPS:
            self.filled = (moment.stream, moment.time)
        else:
            self.whole = False

    def after(self, sampling: Sampling) -> Sampling:
        """The rest of the video."""
        streams = range(max(self.seen, default=-1) + 1)
        seen = tuple(tuple(self.seen.get(stream, ())) for stream in streams)
        return Sampling(**{**asdict(sampling), "seen": seen, "filled": self.filled})


def keep(unit: Unit, film: PendingFilm, place: Place, watch: Watch, rules: str) -> None:
    """Keep the place; its film's row must be locked, so that no withdrawal comes in between.

    ``rules`` names all that a place is good for: under others the video is looked at anew.
    """
    if not place.whole:
        return
    entries = {entry_of(one.label) for one in watch.glimpses}
    in_force = unit.registry.owners(entries)
    glimpses = [one for one in watch.glimpses if entry_of(one.label) in in_force]
    clear = _packed(place, watch, glimpses, rules)
    unit.films.keep(film.id, unit.vault.seal(film.medium, _COLUMN, clear))


def found(unit: Unit, film: PendingFilm, watch: Watch, rules: str) -> Place | None:
    """Where an earlier worker was, what it saw taken over into ``watch``; None to begin anew."""
    if film.kept is None:
        return None
    return _unpacked(unit.vault.unseal(film.medium, _COLUMN, film.kept), watch, rules)


def _packed(place: Place, watch: Watch, glimpses: list[Glimpse], rules: str) -> bytes:
    views = list(dict.fromkeys(one.view for one in glimpses))
    number = {view: at for at, view in enumerate(views)}
    said = {
        "rules": rules,
        "sequence": place.sequence,
        "filled": place.filled,
        "frames": watch.frames,
        "too_plain": watch.too_plain,
        "too_common": watch.too_common,
        "truncated": watch.truncated,
        "views": [[view.name, view.corners, view.turn.value] for view in views],
    }
    made = io.BytesIO()
    np.savez(
        made,
        said=np.frombuffer(json.dumps(said).encode(), np.uint8),
        seen=_pairs(place.seen),
        telling=_pairs(watch.telling),
        shown=_pairs({at: [time for time, *_ in rows] for at, rows in watch.codes.items()}),
        code=_bytes(code for rows in watch.codes.values() for _, code, _ in rows),
        quality=_bytes(bytes((worth,)) for rows in watch.codes.values() for *_, worth in rows),
        near=np.array([(one.time, one.stream) for one in glimpses], np.float64).reshape(-1, 2),
        label=np.array([one.label for one in glimpses], np.int64),
        distance=np.array([one.distance for one in glimpses], np.float64),
        view=np.array([number[one.view] for one in glimpses], np.int64),
    )
    return made.getvalue()


def _unpacked(clear: bytes, watch: Watch, rules: str) -> Place | None:
    try:
        with np.load(io.BytesIO(clear), allow_pickle=False) as kept:
            said: dict[str, Any] = json.loads(kept["said"].tobytes())
            columns = {name: kept[name] for name in ("seen", "telling", "near", "label")}
            columns |= {name: kept[name] for name in ("distance", "view")}
            columns |= {name: kept[name] for name in ("shown", "code", "quality")}
    except (ValueError, KeyError, OSError, zipfile.BadZipFile):  # another version kept it
        return None
    if said.get("rules") != rules:
        return None
    views = [View(name, _corners(corners), Turn(turn)) for name, corners, turn in said["views"]]
    for (time, stream), label, distance, view in zip(
        columns["near"], columns["label"], columns["distance"], columns["view"], strict=True
    ):
        watch.glimpses.append(
            Glimpse(float(time), int(stream), views[int(view)], int(label), float(distance))
        )
    for stream, times in _lists(columns["telling"]).items():
        watch.telling[stream] = times
    codes = columns["code"].reshape(len(columns["shown"]), -1)
    for (stream, time), code, worth in zip(
        columns["shown"], codes, columns["quality"], strict=True
    ):
        watch.codes[int(stream)].append((float(time), code.tobytes(), int(worth)))
    watch.frames, watch.truncated = int(said["frames"]), bool(said["truncated"])
    watch.too_plain, watch.too_common = int(said["too_plain"]), int(said["too_common"])
    filled = said["filled"]
    return Place(
        int(said["sequence"]),
        _lists(columns["seen"]),
        (int(filled[0]), float(filled[1])) if filled else None,
    )


def _pairs(times: dict[int, list[float]]) -> Any:
    flat = [(stream, time) for stream, listed in times.items() for time in listed]
    return np.array(flat, np.float64).reshape(-1, 2)


def _bytes(parts: Iterable[bytes]) -> Any:
    return np.frombuffer(b"".join(parts), np.uint8)


def _lists(pairs: Any) -> dict[int, list[float]]:
    lists: dict[int, list[float]] = {}
    for stream, time in pairs:
        lists.setdefault(int(stream), []).append(float(time))
    return lists


def _corners(said: list[list[float]]) -> Any:
    return tuple((float(x), float(y)) for x, y in said)
