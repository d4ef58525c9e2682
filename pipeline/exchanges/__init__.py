"""The family of exchanges: partners' lists, as ``Added`` and ``Withdrawn``."""
