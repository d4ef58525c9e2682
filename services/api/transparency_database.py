"""A statement of reasons as the EU's DSA Transparency Database takes it.

Fields, limits and enumerations are those of its API, version 2 (in force since 1 July 2025), as
published at https://transparency.dsa.ec.europa.eu/page/api-documentation and in the source at
https://github.com/digital-services-act/transparency-database. A platform sends the document as it
is to ``POST /api/v2/statement`` with its own token; we send nothing. There is no personal data in
it: every text is one of ours.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, StringConstraints, model_validator

from pipeline.domain.action import ActionKind
from pipeline.domain.statement import Content, Statement

Visibility = Literal[
    "DECISION_VISIBILITY_CONTENT_REMOVED",
    "DECISION_VISIBILITY_CONTENT_DISABLED",
    "DECISION_VISIBILITY_CONTENT_DEMOTED",
    "DECISION_VISIBILITY_CONTENT_AGE_RESTRICTED",
    "DECISION_VISIBILITY_CONTENT_INTERACTION_RESTRICTED",
    "DECISION_VISIBILITY_CONTENT_LABELLED",
    "DECISION_VISIBILITY_OTHER",
]
Monetary = Literal[
    "DECISION_MONETARY_SUSPENSION", "DECISION_MONETARY_TERMINATION", "DECISION_MONETARY_OTHER"
]
Provision = Literal[
    "DECISION_PROVISION_PARTIAL_SUSPENSION",
    "DECISION_PROVISION_TOTAL_SUSPENSION",
    "DECISION_PROVISION_PARTIAL_TERMINATION",
    "DECISION_PROVISION_TOTAL_TERMINATION",
]
Account = Literal["DECISION_ACCOUNT_SUSPENDED", "DECISION_ACCOUNT_TERMINATED"]
AccountType = Literal["ACCOUNT_TYPE_BUSINESS", "ACCOUNT_TYPE_PRIVATE"]
GroundOfDecision = Literal[
    "DECISION_GROUND_ILLEGAL_CONTENT", "DECISION_GROUND_INCOMPATIBLE_CONTENT"
]
ContentType = Literal[
    "CONTENT_TYPE_APP",
    "CONTENT_TYPE_AUDIO",
    "CONTENT_TYPE_IMAGE",
    "CONTENT_TYPE_PRODUCT",
    "CONTENT_TYPE_SYNTHETIC_MEDIA",
    "CONTENT_TYPE_TEXT",
    "CONTENT_TYPE_VIDEO",
    "CONTENT_TYPE_OTHER",
]
Category = Literal[
    "STATEMENT_CATEGORY_ANIMAL_WELFARE",
    "STATEMENT_CATEGORY_CONSUMER_INFORMATION",
    "STATEMENT_CATEGORY_CYBER_VIOLENCE",
    "STATEMENT_CATEGORY_CYBER_VIOLENCE_AGAINST_WOMEN",
    "STATEMENT_CATEGORY_DATA_PROTECTION_AND_PRIVACY_VIOLATIONS",
    "STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH",
    "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS",
    "STATEMENT_CATEGORY_NEGATIVE_EFFECTS_ON_CIVIC_DISCOURSE_OR_ELECTIONS",
    "STATEMENT_CATEGORY_NOT_SPECIFIED_NOTICE",
    "STATEMENT_CATEGORY_OTHER_VIOLATION_TC",
    "STATEMENT_CATEGORY_PROTECTION_OF_MINORS",
    "STATEMENT_CATEGORY_RISK_FOR_PUBLIC_SECURITY",
    "STATEMENT_CATEGORY_SCAMS_AND_FRAUD",
    "STATEMENT_CATEGORY_SELF_HARM",
    "STATEMENT_CATEGORY_UNSAFE_AND_PROHIBITED_PRODUCTS",
    "STATEMENT_CATEGORY_VIOLENCE",
]
Keyword = Literal[
    "KEYWORD_CYBER_BULLYING_INTIMIDATION",
    "KEYWORD_CYBER_HARASSMENT",
    "KEYWORD_CYBER_INCITEMENT",
    "KEYWORD_CYBER_STALKING",
    "KEYWORD_NON_CONSENSUAL_IMAGE_SHARING",
    "KEYWORD_NON_CONSENSUAL_MATERIAL_DEEPFAKE",
    "KEYWORD_OTHER",
]
"""Those of the category cyber violence, the only one that is written here."""
Source = Literal[
    "SOURCE_ARTICLE_16",
    "SOURCE_TRUSTED_FLAGGER",
    "SOURCE_TYPE_OTHER_NOTIFICATION",
    "SOURCE_VOLUNTARY",
]
AutomatedDecision = Literal[
    "AUTOMATED_DECISION_FULLY", "AUTOMATED_DECISION_PARTIALLY", "AUTOMATED_DECISION_NOT_AUTOMATED"
]
YesNo = Literal["Yes", "No"]
Country = Literal[
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS",
    "IT", "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
]  # fmt: skip
"""The European Economic Area, as the database names it."""
EEA: tuple[Country, ...] = Country.__args__  # type: ignore[attr-defined]
Short = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Long = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class Entry(BaseModel):
    """One statement as the database wants it; what the published rules refuse is refused here."""

    model_config = ConfigDict(extra="forbid")

    decision_visibility: list[Visibility] | None = None
    decision_visibility_other: Short | None = None
    end_date_visibility_restriction: date | None = None
    decision_monetary: Monetary | None = None
    decision_monetary_other: Short | None = None
    end_date_monetary_restriction: date | None = None
    decision_provision: Provision | None = None
    end_date_service_restriction: date | None = None
    decision_account: Account | None = None
    end_date_account_restriction: date | None = None
    account_type: AccountType | None = None
    decision_ground: GroundOfDecision
    decision_ground_reference_url: HttpUrl | None = None
    illegal_content_legal_ground: Short | None = None
    illegal_content_explanation: Long | None = None
    incompatible_content_ground: Short | None = None
    incompatible_content_explanation: Long | None = None
    incompatible_content_illegal: YesNo | None = None
    category: Category
    category_addition: list[Category] | None = None
    category_specification: list[Keyword] | None = None
    category_specification_other: Short | None = None
    content_type: list[ContentType] = Field(min_length=1)
    content_type_other: Short | None = None
    content_language: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    content_date: date = Field(ge=date(2000, 1, 1))
    territorial_scope: list[Country] = Field(min_length=1)
    application_date: date = Field(ge=date(2020, 1, 1))
    decision_facts: Annotated[str, StringConstraints(min_length=1, max_length=5000)]
    source_type: Source
    source_identity: Short | None = None
    automated_detection: YesNo
    automated_decision: AutomatedDecision
    puid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,500}$")]

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        kinds = ("decision_visibility", "decision_monetary", "decision_provision")
        if not any(getattr(self, name) for name in (*kinds, "decision_account")):
            raise ValueError("a statement tells of at least one restriction")
        other = "DECISION_VISIBILITY_OTHER" in (self.decision_visibility or ())
        _needs(other, "decision_visibility_other", self.decision_visibility_other)
        money = self.decision_monetary == "DECISION_MONETARY_OTHER"
        _needs(money, "decision_monetary_other", self.decision_monetary_other)
        unlike = "CONTENT_TYPE_OTHER" in self.content_type
        _needs(unlike, "content_type_other", self.content_type_other)
        illegal = self.decision_ground == "DECISION_GROUND_ILLEGAL_CONTENT"
        _needs(illegal, "illegal_content_legal_ground", self.illegal_content_legal_ground)
        _needs(illegal, "illegal_content_explanation", self.illegal_content_explanation)
        _needs(not illegal, "incompatible_content_ground", self.incompatible_content_ground)
        _needs(not illegal, "incompatible_content_explanation",
               self.incompatible_content_explanation)  # fmt: skip
        for name in ("visibility", "monetary", "service", "account"):
            end = getattr(self, f"end_date_{name}_restriction")
            if end is not None and end < self.application_date:
                raise ValueError("a restriction does not end before it begins")
        return self


def _needs(needed: bool, name: str, value: object) -> None:
    if needed != (value is not None):
        raise ValueError(f"{name} is {'needed' if needed else 'not allowed'} here")


Ground = Literal["terms", "law"]
"""What a platform relies on: its own terms, or the law."""

_VISIBILITY: dict[ActionKind, Visibility] = {
    ActionKind.REMOVED: "DECISION_VISIBILITY_CONTENT_REMOVED",
    ActionKind.LABELLED: "DECISION_VISIBILITY_CONTENT_LABELLED",
    ActionKind.RESTRICTED: "DECISION_VISIBILITY_OTHER",
}
_TYPES: dict[Content, ContentType] = {
    Content.IMAGE: "CONTENT_TYPE_IMAGE",
    Content.VIDEO: "CONTENT_TYPE_VIDEO",
    Content.UNSEEN: "CONTENT_TYPE_OTHER",
}
_EXPLAINED = (
    "Intimate material may be published only with the consent of the person whom it shows. A person"
    " who asked that this material not be published has not given it."
)
_DIRECTIVE = (
    "Directive (EU) 2024/1385, Article 5 (non-consensual sharing of intimate or manipulated"
    " material), as transposed into national law"
)


def entry_of(
    statement: Statement, ground: Ground = "terms", territory: tuple[Country, ...] = EEA
) -> Entry:
    """The database's entry for a statement. ``puid`` is the screening's id, one for each upload."""
    law = ground == "law"
    restricted = statement.restriction is ActionKind.RESTRICTED
    unseen = statement.content is Content.UNSEEN
    return Entry(
        decision_visibility=[_VISIBILITY[statement.restriction]],
        decision_visibility_other="Fewer people can see the content." if restricted else None,
        decision_ground=(
            "DECISION_GROUND_ILLEGAL_CONTENT" if law else "DECISION_GROUND_INCOMPATIBLE_CONTENT"
        ),
        illegal_content_legal_ground=_DIRECTIVE if law else None,
        illegal_content_explanation=_EXPLAINED if law else None,
        incompatible_content_ground=(
            None if law else "The terms' ban on intimate material without consent"
        ),
        incompatible_content_explanation=None if law else _EXPLAINED,
        category="STATEMENT_CATEGORY_CYBER_VIOLENCE",
        category_specification=["KEYWORD_NON_CONSENSUAL_IMAGE_SHARING"],
        content_type=[_TYPES[statement.content]],
        content_type_other="The content at an address in a notice" if unseen else None,
        content_date=statement.uploaded,
        territorial_scope=list(territory),
        application_date=statement.applied,
        decision_facts=_facts(statement),
        source_type="SOURCE_ARTICLE_16" if statement.noticed else "SOURCE_VOLUNTARY",
        automated_detection="No" if statement.noticed else "Yes",
        automated_decision=(
            "AUTOMATED_DECISION_FULLY"
            if statement.by_repeat
            else "AUTOMATED_DECISION_NOT_AUTOMATED"
        ),
        puid=str(statement.screening),
    )


def _facts(statement: Statement) -> str:
    decided = statement.decided.isoformat()
    if statement.noticed:
        return (
            "A notice with all elements of Article 16(2) told of the content. A trained person"
            f" examined it and decided on {decided} that it is intimate material that was published"
            " without the consent of the person whom it shows."
        )
    found = (
        "The upload was compared by automated means with digests of intimate material that people"
        " have registered because they do not want it published, and was found to be near enough"
        " to be a copy. "
    )
    if statement.by_repeat:
        return found + (
            "It repeats content that a trained person had looked at and upheld as a copy on"
            f" {decided}; nobody looked at this upload again."
        )
    return found + (
        f"A trained person looked at it and decided on {decided} that it is a copy of such material"
        " or shows the person concerned in such material."
    )
