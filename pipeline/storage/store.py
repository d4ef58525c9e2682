"""One transaction and its parts, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipeline.domain.screening import Screening
from pipeline.ports import (
    Answers,
    Attempts,
    AuditLog,
    Banks,
    Batches,
    Cases,
    Enrolments,
    Erasures,
    Events,
    Exchanges,
    Figures,
    Films,
    Floods,
    Followers,
    Following,
    Grants,
    House,
    Jobs,
    LocalFeatures,
    MediaStore,
    Notices,
    Platforms,
    Policies,
    Probes,
    References,
    Registry,
    Reviewers,
    Screenings,
    Sifts,
    Sweeps,
    Traces,
    Unit,
    Vault,
    Visits,
    Webhooks,
    Withdrawals,
)
from pipeline.storage import Connection, Database, Queries
from pipeline.storage.answers import PgAnswers
from pipeline.storage.attempts import PgAttempts
from pipeline.storage.audit import PgAudit
from pipeline.storage.banks import PgBanks
from pipeline.storage.cases import PgCases
from pipeline.storage.enrolments import PgEnrolments, PgGrants
from pipeline.storage.erasures import PgErasures
from pipeline.storage.events import PgEvents
from pipeline.storage.exchanges import PgExchanges
from pipeline.storage.features import PgFeatures
from pipeline.storage.figures import PgFigures
from pipeline.storage.films import PgFilms
from pipeline.storage.floods import PgFloods
from pipeline.storage.following import PgFollowing
from pipeline.storage.house import PgHouse
from pipeline.storage.jobs import PgJobs
from pipeline.storage.keyring import KeyRing
from pipeline.storage.media import PgMedia
from pipeline.storage.notices import PgNotices
from pipeline.storage.platforms import PgPlatforms
from pipeline.storage.policies import PgPolicies
from pipeline.storage.probes import PgProbes
from pipeline.storage.references import PgBatches, PgReferences
from pipeline.storage.registry import PgFollowers, PgRegistry
from pipeline.storage.reviewers import PgReviewers
from pipeline.storage.screenings import PgScreenings
from pipeline.storage.sifts import PgSifts
from pipeline.storage.traces import Days, PgSweeps, PgTraces
from pipeline.storage.vault import PgVault, Secrets
from pipeline.storage.visits import PgVisits
from pipeline.storage.webhooks import PgWebhooks
from pipeline.storage.withdrawals import PgWithdrawals


class PgUnit:
    """See ``pipeline.ports.Unit``."""

    def __init__(
        self, connection: Connection, keyring: KeyRing, secrets: Secrets, days: Days
    ) -> None:
        queries = Queries(connection)
        vault = PgVault(queries, keyring, secrets)
        self.queries = queries
        self.vault: Vault = vault
        self.erasures: Erasures = PgErasures(queries)
        self.registry: Registry = PgRegistry(queries, vault)
        self.enrolments: Enrolments = PgEnrolments(queries)
        self.grants: Grants = PgGrants(queries)
        self.features: LocalFeatures = PgFeatures(queries)
        self.followers: Followers = PgFollowers(queries)
        self.cases: Cases = PgCases(queries)
        self.screenings: Screenings = PgScreenings(queries, days)
        self.traces: Traces = PgTraces(queries, vault)
        self.sweeps: Sweeps = PgSweeps(queries)
        self.sifts: Sifts = PgSifts(queries, vault)
        self.films: Films = PgFilms(queries)
        self.references: References = PgReferences(queries, vault)
        self.batches: Batches = PgBatches(queries)
        self.media: MediaStore = PgMedia(queries)
        self.jobs: Jobs = PgJobs(queries)
        self.events: Events = PgEvents(queries)
        self.platforms: Platforms = PgPlatforms(queries)
        self.webhooks: Webhooks = PgWebhooks(queries)
        self.policies: Policies = PgPolicies(queries)
        self.banks: Banks = PgBanks(queries)
        self.withdrawals: Withdrawals = PgWithdrawals(queries)
        self.audit: AuditLog = PgAudit(queries)
        self.attempts: Attempts = PgAttempts(queries)
        self.reviewers: Reviewers = PgReviewers(queries)
        self.following: Following = PgFollowing(queries)
        self.visits: Visits = PgVisits(queries)
        self.answers: Answers = PgAnswers(queries, vault)
        self.exchanges: Exchanges = PgExchanges(queries)
        self.notices: Notices = PgNotices(queries)
        self.probes: Probes = PgProbes(queries)
        self.floods: Floods = PgFloods(queries)
        self.house: House = PgHouse(queries)
        self.figures: Figures = PgFigures(queries)


class PgStore:
    """See ``pipeline.ports.Store``."""

    def __init__(self, database: Database, keyring: KeyRing, secrets: Secrets) -> None:
        self._database, self._keyring, self._secrets = database, keyring, secrets
        self._days = Days(database, keyring, secrets)

    @contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[Unit]:
        """See the port."""
        with self._database.transaction(snapshot=snapshot) as connection:
            yield PgUnit(connection, self._keyring, self._secrets, self._days)

    def record(self, screenings: Sequence[Screening]) -> None:
        """See the port."""
        with self._database.connection() as connection:
            PgScreenings(Queries(connection), self._days).add_all(screenings)
