"""``consentry enrol | verify | grants | vouch``: faces, for helplines, verifiers and partners."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from pipeline.domain import voucher as vouchers
from pipeline.domain.enrolment import Enrolment, EnrolmentState
from pipeline.domain.ids import GrantId, PersonId, ReviewerId
from pipeline.domain.photos import MOST
from pipeline.domain.voucher import Voucher
from pipeline.errors import Denied, Invalid, NotFound
from pipeline.journeys.sign_in import grouped as shown_case_number
from pipeline.journeys.sign_in import plain as normal_case_number
from services.settings import Settings

grants_app = typer.Typer(no_args_is_help=True, help="Accounts that a person allows to post her.")
out = Console(width=None if sys.stdout.isatty() else 240)
err = Console(stderr=True, width=None if sys.stderr.isatty() else 240)

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
Case = Annotated[str, typer.Argument(help="The case number.")]
Verifier = Annotated[
    str, typer.Option("--as", help="The login of the verifier who says so; it stays on record.")
]
LEAST = 2
"""A helpline may go on with two good photos; three find more, and people are asked for three."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(enrol)
    app.command()(verify)
    app.command()(refuse)
    app.command()(enrolments)
    app.command()(vouch)
    app.add_typer(grants_app, name="grants")


def enrol(
    case: Annotated[str | None, typer.Argument(help="Her case number.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Somebody who has no case number.")] = False,
    photo: Annotated[
        list[Path] | None, typer.Option(help="A photo of her face; three to eight.")
    ] = None,
    voucher: Annotated[
        Path | None, typer.Option(help="A partner organisation's signed voucher.")
    ] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="She has agreed anew; no photos are needed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Have a person's face recognised (for helplines). The photos are kept nowhere.

    Read the consent text to her first: whoever runs this states that she has agreed to it.
    """
    from pipeline.journeys import enrol_face

    if (case is None) != new:
        raise Invalid("name her case number, or --new for somebody who has none; one of the two")
    with _world() as world, world.live("cli") as live:
        office = world.office(live)
        person = None if case is None else _person(world, case)
        if renew:
            if person is None:
                raise Invalid("--renew takes a case number")
            done = enrol_face.renew(office, person, consented_to=office.text, actor="operator:cli")
            _say(done, case or "", as_json=as_json)
            if not as_json:
                out.print(f"she has agreed until {done.expires_at:%Y-%m-%d}", highlight=False)
            return
        if not photo:
            raise Invalid(f"name {LEAST} to {MOST} photos of her face, each with --photo PATH")
        bodies = [(str(path), _read(path)) for path in photo]
        word = None if voucher is None else vouchers.parse(_read(voucher))
        submitted = enrol_face.submit(
            office, person, bodies, consented_to=office.text, voucher=word,
            actor="operator:cli", least=LEAST,
        )  # fmt: skip
    good = sum(one.problem is None for one in submitted.outcomes)
    number = submitted.case_number or normal_case_number(case or "")
    if as_json:
        document: dict[str, Any] = {
            "case": shown_case_number(number),
            "enrolment": str(submitted.enrolment),
            "state": submitted.state.value,
            "photos": [{"path": one.name, "problem": one.problem} for one in submitted.outcomes],
        }
        if submitted.pin is not None:
            document["pin"] = submitted.pin
        _line(document)
        return
    for one in submitted.outcomes:
        out.print(f"{one.name}: {one.problem or 'good'}", highlight=False)
    if good < 3:
        out.print("[yellow]Three photos or more find more often: add some when she has them.[/]")
    _explain(submitted.state)
    out.print(f"\ncase number  [bold]{shown_case_number(number)}[/]", highlight=False)
    if submitted.pin is not None:
        out.print(f"PIN          [bold]{submitted.pin}[/]", highlight=False)
        out.print("Write both down now: they are shown once, and nobody can recover them.")


def verify(
    case: Case,
    reason: Annotated[str, typer.Option(help="How you made sure, in a sentence.")],
    login: Verifier,
    as_json: Json = False,
) -> None:
    """Approve a waiting enrolment: somebody has made sure that the face is hers. Audited."""
    from pipeline.journeys import enrol_face

    with _world() as world, world.live("cli") as live:
        by = _verifier(world, login)
        found = _waiting(world, case)
        done = enrol_face.approve(world.office(live), found.id, reason, by=by)
    _say(done, case, as_json=as_json)


def refuse(
    case: Case,
    reason: Annotated[str, typer.Option(help="Why, in a sentence.")],
    login: Verifier,
    not_hers: Annotated[
        bool, typer.Option("--not-hers", help="It is somebody else's face, not only unproven.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Refuse a waiting enrolment: its templates are destroyed. Audited."""
    from pipeline.domain.case import Ground
    from pipeline.journeys import enrol_face

    ground = Ground.NOT_OWN_FACE if not_hers else Ground.UNPROVEN
    with _world() as world, world.live("cli") as live:
        by = _verifier(world, login)
        found = _waiting(world, case)
        done = enrol_face.refuse(world.office(live), found.id, reason, by=by, ground=ground)
    _say(done, case, as_json=as_json)


def enrolments(as_json: Json = False) -> None:
    """What verifiers must decide about: frozen ones first, then the oldest."""
    from pipeline.journeys import enrol_face

    with _world() as world:
        waiting = enrol_face.waiting(world.store)
    table = Table("enrolment", "state", "photos", "since", "like another's")
    for one in waiting:
        if as_json:
            _line(_document(one))
        table.add_row(
            str(one.id), one.state, str(one.photos), f"{one.asked_at:%Y-%m-%d %H:%M}",
            one.likeness or "-",
        )  # fmt: skip
    if not as_json:
        out.print(table if waiting else "none")


def vouch(
    photo: Annotated[list[Path], typer.Option(help="The photos that will be enrolled.")],
    organisation: Annotated[str, typer.Option(help="Your organisation, as the operator knows it.")],
    key: Annotated[Path, typer.Option(help="Your private key; made here if there is none.")],
) -> None:
    """Vouch that photos show the person who asks (for partner organisations).

    Prints the voucher; the public key for the operator goes to standard error.
    """
    from pipeline.storage.vault import new_signing_key, public_key_of, signature_by

    if not key.exists():
        key.touch(0o600)
        key.write_text(new_signing_key() + "\n", encoding="utf-8")
    private = key.read_text(encoding="utf-8").strip()
    bodies = [_read(path) for path in photo]
    word = Voucher(organisation, vouchers.digests(bodies), datetime.now(UTC))
    signature = signature_by(private, word.statement())
    err.print(f"public key of {organisation}: {public_key_of(private)}", highlight=False)
    _line({**word.document(), "signature": signature})


@grants_app.command("give")
def grants_give(
    case: Case,
    platform: Annotated[str, typer.Option(help="The platform's name.")],
    account: Annotated[str, typer.Option(help="The account, as the platform writes it.")],
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day; one year on if absent.")
    ] = None,
    as_json: Json = False,
) -> None:
    """She allows an account to post her: what it uploads is looked at later, never cleared."""
    from pipeline.journeys.allow import allow
    from services.wiring import now

    with _world() as world:
        person = _person(world, case)
        with world.store.transaction() as unit:
            where = unit.platforms.by_name(platform)
        if where is None:
            raise NotFound(f"there is no platform {platform!r}; see: consentry platforms list")
        ends = until.replace(tzinfo=UTC) if until else None
        grant = allow(world.store, now, person, where, account, ends, actor="operator:cli")
    if as_json:
        _line({"grant": str(grant.id), "until": grant.expires_at.isoformat()})
        return
    out.print(f"grant {grant.id} until {grant.expires_at:%Y-%m-%d}", highlight=False)


@grants_app.command("list")
def grants_list(case: Case, as_json: Json = False) -> None:
    """What she has allowed."""
    from pipeline.journeys.allow import allowed
    from services.wiring import now

    with _world() as world:
        rows = allowed(world.store, _person(world, case))
        with world.store.transaction() as unit:
            names = {row["id"]: str(row["name"]) for row in unit.platforms.all()}
    table = Table("grant", "platform", "account", "until", "in force")
    for one in rows:
        document = {
            "grant": str(one.grant.id),
            "platform": names.get(one.grant.platform, "?"),
            "account": one.account,
            "until": one.grant.expires_at.isoformat(),
            "in_force": one.grant.holds(now()),
        }
        if as_json:
            _line(document)
        table.add_row(*(str(value) for value in document.values()))
    if not as_json:
        out.print(table if rows else "none")


@grants_app.command("revoke")
def grants_revoke(case: Case, grant: UUID) -> None:
    """She takes a grant back."""
    from pipeline.journeys.allow import revoke
    from services.wiring import now

    with _world() as world:
        revoke(world.store, now, _person(world, case), GrantId(grant), actor="operator:cli")
    out.print("revoked; cases from now on come in their ordinary turn")


@contextmanager
def _world() -> Iterator[Any]:
    from services.logs import configure
    from services.wiring import open_world

    settings = Settings(log_level="warning")
    configure(settings)
    with open_world(settings) as world:
        yield world


def _person(world: Any, case: str) -> PersonId:
    with world.store.transaction() as unit:
        found = unit.registry.person(normal_case_number(case))
    if found is None or found.withdrawn:
        raise NotFound("there is nobody with this case number; check it and try again")
    person: PersonId = found.id
    return person


def _waiting(world: Any, case: str) -> Enrolment:
    from pipeline.journeys import enrol_face

    for found in enrol_face.of_person(world.store, _person(world, case)):
        if found.state in {EnrolmentState.PENDING, EnrolmentState.FROZEN}:
            return found
    raise NotFound("nothing waits for a verifier under this case number")


def _verifier(world: Any, login: str) -> ReviewerId:
    with world.store.transaction() as unit:
        found = unit.reviewers.by_login(login)
    if found is None or found[0].role != "verifier":
        raise Denied(
            f"{login} is no verifier; add one with: consentry reviewers add LOGIN --role verifier"
        )
    reviewer: ReviewerId = found[0].id
    return reviewer


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise Invalid(f"there is no readable {path}") from None


def _say(done: Enrolment, case: str, *, as_json: bool) -> None:
    if as_json:
        _line({"case": shown_case_number(normal_case_number(case)), **_document(done)})
        return
    _explain(done.state)


def _document(one: Enrolment) -> dict[str, Any]:
    return {
        "enrolment": str(one.id),
        "state": one.state.value,
        "photos": one.photos,
        "asked_at": one.asked_at.isoformat(),
        "expires_at": one.expires_at.isoformat(),
        "rival": str(one.rival) if one.rival else None,
        "likeness": one.likeness,
    }


def _explain(state: EnrolmentState) -> None:
    out.print(
        {
            EnrolmentState.PENDING: "pending: it counts once a verifier has approved it"
            " (at the console, or consentry verify CASE)",
            EnrolmentState.APPROVED: "approved: her face is recognised from now on",
            EnrolmentState.FROZEN: "[yellow]frozen[/]: somebody else has enrolled what looks like"
            " the same face; neither counts until a verifier has looked at both",
            EnrolmentState.REFUSED: "refused: its templates are destroyed",
        }.get(state, state.value),
        highlight=False,
    )


def _line(document: Any) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()
