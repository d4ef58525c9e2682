"""Consentry's pipeline: everything that has a name in the domain.

Reading order for a newcomer:

1. ``domain/`` -- the nouns and the rules, without any input or output.
2. ``ports.py`` -- what the journeys ask of the world.
3. ``journeys/screen_upload.py`` -- an upload meets the index and is judged.
4. ``journeys/review.py`` -- a person decides; ``journeys/deliver.py`` -- the platform is told.
5. ``journeys/register.py`` and ``journeys/withdraw.py`` -- a person joins, and leaves.
6. The families that do the work: ``media``, ``signals``, ``indexes``, ``actions``, ``storage``.

Imports go down only; the floors are contracts in ``pyproject.toml``.
"""
