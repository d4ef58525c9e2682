"""Whole pictures that a copy-detection pack calls alike, of people who opted in to it.

A vector says more of a picture than a hash does: it is sealed and indexed like a face's template,
kept only under the consent to local features, and destroyed with them. Nothing is computed of an
upload while nobody's vector is held. What is found is a network's opinion: a person looks, always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.domain.entry import Layout
from pipeline.domain.evidence import Hit, Owner
from pipeline.domain.ids import EntryId, PersonId, entry_of, slot_of
from pipeline.domain.media import WHOLE, Frame, Turn
from pipeline.domain.policy import Policy
from pipeline.domain.signal import Metric, Signals, Space, pack
from pipeline.errors import Misconfigured
from pipeline.indexes import Hits
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.packs import CopyModel
from pipeline.ports import NewEntry, Unit

_ASKED = (WHOLE, replace(WHOLE, turn=Turn.FLIP_Y))
"""An upload is asked as it is and mirrored: networks are seldom blind to mirrors."""


@dataclass(frozen=True, slots=True)
class CopiesFound:
    """Registered pictures that are alike, before anybody's name was looked up."""

    batches: tuple[tuple[Signals, Hits], ...] = field(default=(), repr=False)

    @property
    def entries(self) -> set[EntryId]:
        """The entries that were hit."""
        return {entry_of(int(label)) for _, hits in self.batches for label in hits.label}

    @property
    def truncated(self) -> bool:
        """Whether there were more than an index tells."""
        return any(hits.truncated for _, hits in self.batches)


NO_COPIES = CopiesFound()


class CopyEye:
    """Looks at whole pictures with all copy-detection packs of a deployment."""

    def __init__(self, models: Sequence[CopyModel], policy: Policy) -> None:
        """Raises ``Misconfigured`` when the policy has no rule for a pack."""
        self.models = tuple(models)
        self._from: dict[str, float] = {}
        for model in models:
            name = model.space.name
            similarity = policy.alike(name)
            if similarity is None:
                raise Misconfigured(
                    f"the pack {name} is not calibrated, and the policy has no rule for it; add"
                    f' {{"alike": {{"signal": "{name}", "bank": "registered", "similarity": …}}}}'
                    " to its review rules"
                )
            self._from[name] = similarity

    @property
    def spaces(self) -> tuple[Space, ...]:
        """Where the packs' vectors live."""
        return tuple(model.space for model in self.models)

    def search(self, live: LiveIndexes, frame: Frame | None) -> CopiesFound:
        """Registered pictures alike enough for a person to look; raises ``IndexNotReady``."""
        if frame is None:
            return NO_COPIES
        batches = []
        for model in self.models:
            if not live.codes(model.space):
                continue
            asked = _asked(model, frame)
            hits = live.search(model.space, asked.codes, self._from[model.space.name])
            if len(hits):
                batches.append((asked, hits))
        return CopiesFound(tuple(batches))

    def believe(self, found: CopiesFound, owners: Mapping[EntryId, Owner]) -> tuple[Hit, ...]:
        """Hits on vectors in force, each with its likeness in words."""
        said = {model.space.name: model for model in self.models}
        return tuple(
            Hit(
                signals.space.name,
                float(cosine),
                signals.views[int(query)],
                slot_of(int(label)),
                owners[entry_of(int(label))],
                witness=f"the whole picture is alike: {_words(said, signals.space, cosine)}",
                metric=Metric.INNER_PRODUCT,
            )
            for signals, near in found.batches
            for query, label, cosine in zip(near.query, near.label, near.distance, strict=True)
            if owners.get(entry_of(int(label))) is not None
            and owners[entry_of(int(label))].layout is Layout.VECTOR
        )


def vectors_of(models: Sequence[CopyModel], frame: Frame) -> tuple[Signals, ...]:
    """What is kept of a registered picture, a vector a pack."""
    return tuple(
        Signals(model.space, model.vectors([frame]), np.array([100], np.uint8), (WHOLE,))
        for model in models
    )


def sealed_vector(unit: Unit, person: PersonId, vector: Signals) -> NewEntry:
    """The entry that holds a vector, sealed under the person's key."""
    column = f"entries.{vector.space.key}"
    return NewEntry(
        vector.space.key, 1, unit.vault.seal(person, column, pack(vector)), Layout.VECTOR
    )


def _asked(model: CopyModel, frame: Frame) -> Signals:
    mirrored = Frame(np.ascontiguousarray(frame.rgb[:, ::-1]))
    codes = model.vectors([frame, mirrored])
    return Signals(model.space, codes, np.array([100, 100], np.uint8), _ASKED)


def _words(said: Mapping[str, CopyModel], space: Space, cosine: float) -> str:
    return said[space.name].words(float(cosine))
