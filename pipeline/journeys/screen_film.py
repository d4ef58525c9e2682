"""A video that was taken in is looked at as a job, and answered; every one of them is.

The upload lies sealed under a key of its own until it has its answer: then it belongs to the case
that it opened, or its key is shredded. The work is a job whose attempts are counted when it is
taken up, so that a file which kills its worker runs out of them; a video whose job was given up is
answered by name. The answer is recorded, its event kept and its job ended in one transaction,
behind the job's fence: there is never a second answer.
"""

from __future__ import annotations

import io
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import numpy as np

from pipeline.domain.bank import part
from pipeline.domain.digest import SPACE, Digests, digests
from pipeline.domain.entry import keyed
from pipeline.domain.evidence import Hit, gather
from pipeline.domain.film import FilmCodes, Pruner
from pipeline.domain.flood import is_put_aside
from pipeline.domain.generic import GenericBank
from pipeline.domain.ids import PlatformId, ScreeningId, uuid7
from pipeline.domain.media import Media, Rating, Upload
from pipeline.domain.policy import Clear, Policy
from pipeline.domain.screening import Answer, Form, Screening, Verdict
from pipeline.domain.signal import Space, join_all
from pipeline.domain.timeline import CERTAIN_SUPPORT, Showing
from pipeline.domain.trace import FilmTrace, Trace
from pipeline.domain.trial import Nearness, reach
from pipeline.errors import RefusalReason, Refused, Unavailable
from pipeline.journeys import keep_place
from pipeline.journeys.desk import announce, event_of
from pipeline.journeys.hold_job import Lost, failed
from pipeline.journeys.keep_place import Place
from pipeline.journeys.register_film import Films, FilmSigns, hashed, packed_film, telling
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.journeys.screen_upload import Earlier, Screener, Subject, summary
from pipeline.journeys.see import Seen
from pipeline.journeys.see_faces import NOT_LOOKED, UNRATED, FacesSeen, together
from pipeline.journeys.take_in_film import ATTEMPTS, KIND, digests_of, keep_early, waiting
from pipeline.journeys.track_faces import FaceTracks
from pipeline.journeys.watch import Watch
from pipeline.media.moments import Sampling, film_mime
from pipeline.media.views import USUAL, ViewBudget
from pipeline.ports import Blobs, Clock, Job, PendingFilm, Store, Unit
from pipeline.signals import SignalType

LEASE = timedelta(seconds=120)
_RENEW = 1.0
_KEEP, _KEEP_APART = 2.0, 20
"""Seconds after which the place is kept, and how many times as long as it took, at least."""
_KEEP_SECONDS = 300.0
_FACES_SIDE = 1280
"""How much of the matched stretches is hashed frame by frame, for the bank of upheld content."""
_MOST_EDGES = 12
_CHUNK = 1 << 20


class Stopped(Exception):
    """This process is told to end; another one goes on from the place that was kept."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far the work has come."""

    done: float
    frames: int

    @property
    def expected(self) -> int | None:
        """About how many frames there will be; unknown at the very beginning."""
        return round(self.frames / self.done) if self.done > 0.02 else None


class Projector:
    """Screens videos for all platforms of a deployment."""

    def __init__(
        self,
        store: Store,
        live: LiveIndexes,
        screener: Screener,
        signal: SignalType,
        bank: GenericBank | None,
        policy: Policy,
        read: Films,
        blobs: Blobs,
        clock: Clock,
        sampling: Sampling,
        wide_codes: int,
        budget: ViewBudget = USUAL,
    ) -> None:
        self._store, self._live, self._screener = store, live, screener
        self._signal, self._bank, self._policy, self._read = signal, bank, policy, read
        self._blobs, self._clock = blobs, clock
        self._sampling, self._wide_codes = sampling, wide_codes
        self._budget = budget.found_only()

    @property
    def space(self) -> Space:
        """What videos are compared in."""
        return self._signal.space

    def under(self, platform: PlatformId) -> Projector:
        """This projector with the policy that judges a platform's videos now."""
        other = copy(self)
        other._screener = self._screener.under(platform)
        other._policy = other._screener.policy
        return other

    def work(
        self, pause: Callable[[int], float], stopping: Callable[[], bool] = lambda: False
    ) -> bool:
        """Take up one video, if one waits; whether there was one.

        ``pause(attempt)`` is the seconds until the next attempt after one that failed. Once
        ``stopping`` says so the video is handed back, which counts as no attempt.
        """
        if not self._live.ready:
            return False
        with self._store.transaction() as unit:
            jobs = unit.jobs.claim(KIND, 1, LEASE)
        for job in jobs:
            self._attempt(job, pause, stopping)
        return bool(jobs)

    def answer_given_up(self, limit: int = 20) -> int:
        """Answer the videos whose work was given up; how many."""
        with self._store.transaction() as unit:
            films = unit.films.given_up(limit)
            for film in films:
                refused = Refused(
                    RefusalReason.UNDECODABLE,
                    f"Looking at this video failed {ATTEMPTS} times; save it with another program"
                    " and send it again.",
                )
                answered = self.under(film.platform)._refused(film, refused, time.perf_counter())
                unit.screenings.add(answered)
                unit.films.end(film.id)
                unit.vault.shred(film.medium)
                tell_answer(unit, answered, "screening.completed", self._clock())
        for film in films:
            self._blobs.destroy(film.medium)
        return len(films)

    def screen(
        self,
        film: PendingFilm,
        file: BinaryIO,
        progress: Callable[[Step], None] = lambda _: None,
        certain: Callable[[Sequence[Answer]], None] = lambda _: None,
        end: Callable[[Unit, Screening], None] = lambda _unit, _screening: None,
        same: Digests | None = None,
        begun: tuple[Watch, Place] | None = None,
    ) -> Screening:
        """Look at a video and record its answer; ``end`` is called in the same transaction.

        ``same`` are the file's digests where they are known already, ``begun`` is what an earlier
        worker saw. The file's blob is discarded unless a case now holds it. Raises ``Unavailable``
        when no answer can be given now.
        """
        # What was begun was begun under this policy; another's radii would see other things.
        if begun is None and self._policy is not self._screener.under(film.platform).policy:
            return self.under(film.platform).screen(film, file, progress, certain, end, same)
        began = time.perf_counter()
        if same is None:
            file.seek(0)
            same = digests(iter(lambda: file.read(_CHUNK), b""))
        watch, place = begun or self.begin()
        try:
            self.look(watch, file, progress, certain, place)
            codes = self._codes(watch, file, same)
            faces = self._faces(
                film.upload, film.mime, file, lambda: progress(Step(1.0, watch.frames))
            )
        except Refused as refused:
            answered = self._refused(film, refused, began)
            with self._store.transaction() as unit:
                unit.screenings.add(answered)
                unit.vault.shred(film.medium)
                end(unit, answered)
            self._blobs.destroy(film.medium)
            return answered
        base = Screening(
            id=film.id,
            platform=film.platform,
            upload=replace(film.upload, uploader=None),
            form=Form.FILE,
            verdict=Verdict.CLEAR,
            policy=self._policy.version,
            index_seq=place.sequence,
            received_at=film.received_at,
            milliseconds=0.0,
            bytes=film.size,
            mime=film.mime,
            notes=watch.notes + faces.notes,
            trace=(
                Trace(same.sha256, (), watch.left())
                if self._screener.remembers(film.upload.rating)
                else None
            ),
            blocks=False,
            near=Nearness((), reach(self._policy, (self._signal.space.name, SPACE.name))),
        )
        alike = self._screener.faces.search(self._live, faces)
        subject = Subject(
            film.upload,
            Form.FILE,
            same.sha256,
            Seen((), (), ()),
            mime=film.mime,
            codes=codes,
            held=(film.medium, film.size),
        )
        with self._store.transaction() as unit:
            answered = self._screener.conclude(
                unit,
                base,
                subject,
                lambda unit: (
                    self._believed(unit, watch, same)
                    + self._screener.faces.believe(alike, unit.registry.owners(alike.entries))
                ),
                began,
                truncated=watch.truncated or alike.truncated,
            )
            case = answered.case if answered.verdict is Verdict.REVIEW else None
            kept = case is not None and any(
                medium.id == film.medium for medium in unit.media.of_case(case)
            )
            if not kept:
                unit.vault.shred(film.medium)
            end(unit, answered)
        if not kept:
            self._blobs.destroy(film.medium)
        return answered

    def screen_again(self, unit: Unit, earlier: Earlier) -> Screening | None:
        """Screen an earlier video by what it left; see ``Screener.screen_again``."""
        began, received, was = time.perf_counter(), self._clock(), earlier.screening
        mine = self.under(was.platform)
        assert earlier.film is not None  # else it is a picture, and the screener's
        watch, sequence = mine.watch(), self._live.applied
        watch.recall(earlier.film)
        if not watch.glimpses:
            return None
        base = Screening(
            id=ScreeningId(uuid7(received, secrets.token_bytes(10))),
            platform=was.platform,
            upload=replace(was.upload, uploader=None),
            form=Form.HASHES,
            verdict=Verdict.CLEAR,
            policy=mine._policy.version,
            index_seq=sequence,
            received_at=received,
            milliseconds=0.0,
            notes=("rescan", *watch.notes),
        )
        shown = watch.showings(unit)
        subject = Subject(
            was.upload, was.form, b"", Seen((), (), ()), mime=was.mime,
            codes=mine._joined(_within(earlier.film, shown)), fingerprint=earlier.fingerprint,
            again=True,
        )  # fmt: skip

        def believed(unit: Unit) -> tuple[Hit, ...]:
            return tuple(watch.hits(showing) for showing in watch.showings(unit))

        answered = mine._screener.conclude(
            unit, base, subject, believed, began, truncated=watch.truncated
        )
        return None if answered.verdict is Verdict.CLEAR else answered

    def screen_old(
        self,
        platform: PlatformId,
        upload: Upload,
        body: bytes,
        end: Callable[[Unit, Screening], None],
        progress: Callable[[], None] = lambda: None,
    ) -> Screening | None:
        """Screen a video that a platform has had for long; see ``Screener.screen_old``.

        Raises ``Refused``.
        """
        began, received, mine = time.perf_counter(), self._clock(), self.under(platform)
        file, same, mime = io.BytesIO(body), digests((body,)), film_mime(body[:_CHUNK])
        watch, place = mine.begin()
        mine.look(watch, file, lambda _: progress(), place=place)
        seen = mine._faces(upload, mime, file, progress)
        alike = mine._screener.faces.search(self._live, seen)
        base = Screening(
            id=ScreeningId(uuid7(received, secrets.token_bytes(10))),
            platform=platform,
            upload=replace(upload, uploader=None),
            form=Form.FILE,
            verdict=Verdict.CLEAR,
            policy=mine._policy.version,
            index_seq=place.sequence,
            received_at=received,
            milliseconds=0.0,
            bytes=len(body),
            mime=mime,
            notes=watch.notes + seen.notes,
        )
        subject = Subject(
            upload, Form.FILE, same.sha256, Seen((), (), ()), body, mime,
            codes=mine._codes(watch, file, same), again=True,
        )  # fmt: skip

        def believed(unit: Unit) -> tuple[Hit, ...]:
            known = unit.registry
            faces = mine._screener.faces.believe(alike, known.owners(alike.entries))
            return mine._believed(unit, watch, same) + faces

        with self._store.transaction() as unit:
            answered = mine._screener.conclude(
                unit, base, subject, believed, began, truncated=watch.truncated or alike.truncated
            )
            if answered.verdict is Verdict.CLEAR:
                return None
            end(unit, answered)
            return answered

    def begin(self) -> tuple[Watch, Place]:
        """At the beginning of a video."""
        return self.watch(), Place(self._live.applied)

    def watch(self) -> Watch:
        """Nothing seen yet."""
        return Watch(
            self._signal, self._bank, self._policy, self._live, self._budget, self._wide_codes,
            remember=self._screener.remembers(Rating.UNKNOWN),
        )  # fmt: skip

    def look(
        self,
        watch: Watch,
        file: BinaryIO,
        progress: Callable[[Step], None] = lambda _: None,
        certain: Callable[[Sequence[Answer]], None] = lambda _: None,
        place: Place | None = None,
    ) -> None:
        """Look at all of a video, and densely at what came near. Raises ``Refused``."""
        near, told = 0, False
        place = place or Place(self._live.applied)
        for moment in self._read(file, place.after(self._sampling)):
            near += watch.look(moment)
            place.pass_by(moment)
            progress(Step(moment.done, watch.frames))
            if near >= CERTAIN_SUPPORT and not told:
                near = 0
                matches = self._certain(watch)
                told = bool(matches)
                if told:
                    certain(matches)
        self._look_again(watch, file)

    def _faces(
        self, upload: Upload, mime: str | None, file: BinaryIO, progress: Callable[[], None]
    ) -> FacesSeen:
        """Whoever is in the picture, where faces can matter; a look of its own, in colour.

        Where the platform gives no rating, the gates are asked about one moment after another
        until one is intimate.
        """
        eye, rating = self._screener.faces, upload.rating
        if not eye.packs:
            return NOT_LOOKED
        sampling = replace(self._sampling, colour=_FACES_SIDE)
        if rating is Rating.UNKNOWN:
            for moment in self._read(file, sampling):
                progress()
                shown = moment.frame
                media = Media((shown,), mime or "video/mp4", shown.width, shown.height)
                rating = eye.rate(upload, media).rating
                if rating is not Rating.NOT_INTIMATE:
                    break
        if rating is Rating.NOT_INTIMATE:
            return NOT_LOOKED
        if not self._policy.faces.look(rating):
            return UNRATED
        tracks: dict[int, FaceTracks] = defaultdict(lambda: FaceTracks(eye.packs))
        for moment in self._read(file, sampling):
            progress()
            tracks[moment.stream].add(moment.frame)
        return together([one.seen() for one in tracks.values()])

    def _look_again(self, watch: Watch, file: BinaryIO) -> None:
        """Look densely where it matters: around a few chance moments, and where stretches end.

        A picture that is shown for half a second has one moment; chance has no second. And a
        stretch begins somewhere between the moment that matched and the one before it.
        """
        times = sorted({one.time for one in watch.glimpses})
        if not times:
            return
        spans = [(at - 0.4, at + 0.4) for at in times] if len(times) <= 3 else []
        with self._store.transaction() as unit:
            shown = [one for showing in watch.showings(unit) for one in showing.stretches]
        reach = self._sampling.gap + 0.5
        for begin, end in sorted(one.upload for one in shown)[:_MOST_EDGES]:
            spans += [(begin - reach, begin + 0.5), (end - 0.5, end + reach)]
        dense = replace(self._sampling, rate=4.0, spans=apart(spans))
        seen = {(stream, at) for stream, known in watch.telling.items() for at in known}
        for moment in self._read(file, dense):
            if (moment.stream, moment.time) not in seen:
                watch.look(moment)

    def _certain(self, watch: Watch) -> list[Answer]:
        """Matches that no further frame can take away, as a platform may see them."""
        with self._store.transaction() as unit:
            return self._sure(unit, watch)

    def _sure(self, unit: Unit, watch: Watch) -> list[Answer]:
        hits = [
            watch.hits(showing)
            for showing in watch.showings(unit)
            if showing.support >= CERTAIN_SUPPORT
        ]
        likeness = self._policy.faces.thresholds
        counting, _ = part(hits, None)
        hits = [hit for hit in counting if not is_put_aside(hit, likeness)]
        decision = self._policy.judge(gather(hits))
        return [] if isinstance(decision, Clear) else [Answer.of(m, None) for m in decision.matches]

    def _believed(self, unit: Unit, watch: Watch, same: Digests) -> tuple[Hit, ...]:
        shown = tuple(watch.hits(showing) for showing in watch.showings(unit))
        return shown + watch.same_bytes(same, unit)

    def _codes(self, watch: Watch, file: BinaryIO, same: Digests) -> bytes:
        """What joins a bank if this is upheld: the matched stretches, frame by frame."""
        with self._store.transaction() as unit:
            stretches = [one for showing in watch.showings(unit) for one in showing.stretches]
        spans = apart([one.upload for one in stretches], _KEEP_SECONDS)
        frames: FilmCodes | None = None
        if spans:
            pruner = Pruner(self._signal.minimum_quality)
            dense = replace(self._sampling, rate=None, spans=spans)
            last = -1.0
            for moment, code, quality in hashed(self._read(file, dense), self._signal):
                if moment.stream == 0 and moment.time > last:
                    last = moment.time
                    pruner.add(moment.time, code.tobytes(), quality)
            frames = telling(pruner.kept(), self._bank)
        exact = packed_film(FilmSigns(Pruner(0).kept(), digests=same), self._signal, md5=False)
        return self._joined(frames) + join_all(
            (keyed(space, layout), packed) for space, _, packed, layout in exact
        )

    def _joined(self, frames: FilmCodes | None) -> bytes:
        parts = packed_film(FilmSigns(frames or Pruner(0).kept()), self._signal)
        return join_all((keyed(space, layout), packed) for space, _, packed, layout in parts)

    def _attempt(
        self, job: Job, pause: Callable[[int], float], stopping: Callable[[], bool]
    ) -> None:
        screening = ScreeningId(_uuid(job.payload["screening"]))
        with self._store.transaction() as unit:
            film = unit.films.get(screening)
            if film is None:
                unit.jobs.done(job)
                return
            key = unit.vault.key(film.medium)
            same = digests_of(unit, film)
            mine = self.under(film.platform)
            begun = mine.begin()
            # The last attempt takes nothing over: it may be the place that nobody gets past.
            if job.attempts < job.max_attempts:
                watch = mine.watch()
                if place := keep_place.found(unit, film, watch, mine._rules):
                    begun = watch, place
        try:
            with self._blobs.open(film.medium, key) as file:
                mine._project(film, job, file, same, begun, stopping)
        except Lost:
            return
        except Stopped:
            with self._store.transaction() as unit:
                unit.jobs.hand_back(job)
        except Unavailable as error:
            failed(self._store, self._clock, job, str(error), pause)
        except Exception as error:
            # The type alone: a message could carry what was being looked at.
            failed(self._store, self._clock, job, type(error).__name__, pause)
            raise

    @property
    def _rules(self) -> str:
        """All that decides what a moment is taken for."""
        sampling = self._sampling
        return (
            f"{self._policy.version} {self._signal.space.key} {self._budget}"
            f" {sampling.rate} {sampling.long} {sampling.gap}"
        )

    def _project(
        self,
        film: PendingFilm,
        job: Job,
        file: BinaryIO,
        same: Digests | None,
        begun: tuple[Watch, Place],
        stopping: Callable[[], bool],
    ) -> None:
        heard, keep_at = 0.0, 0.0

        def progress(step: Step) -> None:
            nonlocal heard, keep_at
            ending, now = stopping(), time.monotonic()
            if now - heard < _RENEW and not ending:
                return
            heard = now
            with self._store.transaction() as unit:
                if not unit.jobs.renew(job, LEASE):
                    raise Lost
                unit.films.progress(film.id, step.done, step.frames, step.expected)
                if now >= keep_at or ending:
                    keep_place.keep(unit, film, begun[1], begun[0], self._rules)
                    took = time.monotonic() - now
                    keep_at = time.monotonic() + max(_KEEP, _KEEP_APART * took)
            if ending:
                raise Stopped

        def certain(matches: Sequence[Answer]) -> None:
            with self._store.transaction() as unit:
                if not keep_early(unit, film, matches):
                    return
                # From here on no withdrawal comes in between: is it still so?
                if self._sure(unit, begun[0]) != list(matches):
                    unit.films.early(film.id, None)
                    return
                version, sequence = self._policy.version, self._live.applied
                told = waiting(film, version, sequence, tuple(matches))
                tell_answer(unit, told, "screening.early", self._clock())

        def end(unit: Unit, screening: Screening) -> None:
            if not (unit.films.end(film.id) and unit.jobs.done(job)):
                raise Lost
            tell_answer(unit, screening, "screening.completed", self._clock())

        self.screen(film, file, progress, certain, end, same, begun)

    def _refused(self, film: PendingFilm, refused: Refused, began: float) -> Screening:
        return Screening(
            id=film.id,
            platform=film.platform,
            upload=replace(film.upload, uploader=None),
            form=Form.FILE,
            verdict=Verdict.REFUSED,
            policy=self._policy.version,
            index_seq=max(0, self._live.applied),
            received_at=film.received_at,
            milliseconds=(time.perf_counter() - began) * 1000,
            bytes=film.size,
            mime=film.mime,
            refusal=refused.reason,
            message=refused.message,
            blocks=Verdict.REFUSED in self._policy.terms.blocks,
        )


def tell_answer(unit: Unit, screening: Screening, kind: str, now: datetime) -> None:
    """Keep an event for the platform, and the jobs that deliver it."""
    data = summary(screening)
    announce(unit, event_of(screening.platform, kind, data, now, screening.case))


def _within(film: FilmTrace, shown: Sequence[Showing]) -> FilmCodes | None:
    """What an earlier video left of the stretches that match, of its first stream."""
    codes = film.streams.get(0)
    if codes is None:
        return None
    keep = np.zeros(len(codes), np.bool_)
    for begin, end in (stretch.upload for one in shown for stretch in one.stretches):
        keep |= (codes.end >= begin) & (codes.begin <= end)
    return codes.only(keep)


def apart(
    spans: Iterable[tuple[float, float]], most: float = float("inf")
) -> tuple[tuple[float, float], ...]:
    """Spans of time that overlap nowhere, ``most`` seconds in all."""
    found: list[tuple[float, float]] = []
    left = most
    for low, high in sorted(spans):
        begin = max(low, 0.0, found[-1][1] if found else 0.0)
        end = min(high, begin + left)
        if end > begin:
            found.append((begin, end))
            left -= end - begin
    return tuple(found)


def _uuid(text: object) -> Any:
    from uuid import UUID

    return UUID(str(text))
