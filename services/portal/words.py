"""What the portal calls things that are not written in a template. ``N_`` marks for translation."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.domain.case import Ground
from pipeline.domain.enrolment import EnrolmentState
from pipeline.domain.erasure import Step
from pipeline.journeys.follow_case import Next, What
from pipeline.journeys.register_codes import Fate


def N_(text: str) -> str:  # noqa: N802
    """The text itself; translated where it is shown."""
    return text


KINDS: Mapping[str, str] = {"picture": N_("Picture"), "clip": N_("Clip"), "face": N_("Your face")}

HAPPENINGS: Mapping[What, str] = {
    What.RECEIVED: N_("We got the codes."),
    What.ACTIVE: N_("We look for it on all sites that work with us."),
    What.WAITING: N_("We are starting to look for it. This takes a few seconds."),
    What.UNDER_REVIEW: N_(
        "Something that may be a copy was uploaded. A trained person will look at it and decide."
    ),
    What.UPHELD: N_("A person decided: it is a copy, and it must go."),
    What.ASKED: N_("We told %(platform)s to take it down."),
    What.CONFIRMED: N_("%(platform)s answered that it got our message."),
    What.REMOVED: N_("%(platform)s told us that it has removed it."),
    What.RESTRICTED: N_("%(platform)s told us that fewer people can see it now."),
    What.LABELLED: N_("%(platform)s told us that it shows it with a warning."),
    What.RESTORED: N_("%(platform)s told us that it has put it back."),
    What.UNTOUCHED: N_("%(platform)s told us that it has left it where it is."),
    What.REFUSED_AGAIN: N_("Stopped again on %(platform)s. Further uploads of it: %(count)s."),
    What.QUARANTINED: N_(
        "Many other pictures were taken for something roughly like this one. A person finds out"
        " why. We keep looking for close copies of it, as before."
    ),
    What.KEPT_OUT: N_(
        "A person found out that other pictures were taken for this one. We no longer look for"
        " what is only roughly like it. We keep looking for close copies."
    ),
    What.LEFT: N_("A person looked at something that was found and decided to leave it."),
    What.REPORTED: N_(
        "A person decided: it must go. It was passed on to the authorities, as the law asks."
    ),
    What.OBJECTED: N_("You objected. Somebody else looks at it and decides again."),
    What.CONTESTED: N_(
        "Whoever uploaded it objected. Somebody else looks at it and decides again."
    ),
    What.STANDS: N_("Somebody else looked again. The decision stays as it was."),
    What.MUST_GO: N_("Somebody else looked again and decided: it is a copy, and it must go."),
    What.MAY_STAY: N_(
        "Somebody else looked again and decided: it may stay. We no longer stop uploads of it at"
        " once."
    ),
}

NEXTS: Mapping[Next, str] = {
    Next.NOTHING: N_("Nothing found so far. We keep looking."),
    Next.DECISION: N_("Next: a person decides. You will see it here."),
    Next.OBJECTION: N_("If you think that this was wrong, you can object. We keep looking."),
    Next.ANSWERED: N_("If you think that this was wrong, a help line can tell you more. We keep"
                      " looking for other copies."),
    Next.SHOWN: N_("A site shows it, though it must go. A help line can tell you what to do now."
                   " We keep looking."),
    Next.STOPPED: N_("We keep looking. New copies of it are stopped at once."),
}  # fmt: skip
"""What comes next for an item."""

TABLES: Mapping[str, str] = {
    "people": N_("People"),
    "uploads": N_("Uploads that we compared"),
    "cases": N_("Reviews"),
    "hours": N_("How long decisions took"),
    "appeals": N_("Objections"),
    "actions": N_("What sites told us that they did"),
    "lists": N_("Codes from partners' lists, today"),
}
"""The tables of the transparency report."""

FIGURES: Mapping[str, str] = {
    "all": N_("All"),
    "people.registered": N_("Came to protect pictures"),
    "people.asked_for_face": N_("Asked for their face to be found"),
    "people.withdrawn": N_("Left, with everything deleted"),
    "people.took_back_items": N_("Took single items back"),
    "uploads.clear": N_("Nothing found"),
    "uploads.review": N_("Given to a person to look at"),
    "uploads.known": N_("A copy of what must go, stopped at once"),
    "uploads.refused": N_("Could not be read"),
    "cases.hash": N_("Pictures and clips"),
    "cases.face": N_("Faces"),
    "cases.notice": N_("Reports of things online"),
    "cases.upheld": N_("It must go"),
    "cases.dismissed": N_("It stays"),
    "cases.reported": N_("It must go, and was passed on to the authorities"),
    "cases.withdrawn": N_("Taken back before a decision"),
    "cases.undecided": N_("Not decided yet"),
    "hours.hash": N_("Pictures and clips"),
    "hours.face": N_("Faces"),
    "hours.notice": N_("Reports of things online"),
    "hours.1h": N_("Within 1 hour"),
    "hours.6h": N_("Within 6 hours"),
    "hours.24h": N_("Within 24 hours"),
    "hours.48h": N_("Within 48 hours"),
    "hours.later": N_("Later than 48 hours"),
    "appeals.uploader": N_("By those who had uploaded it"),
    "appeals.registered": N_("By those who had protected it"),
    "appeals.stands": N_("The decision stayed"),
    "appeals.overturned": N_("Decided the other way"),
    "appeals.withdrawn": N_("Taken back before a decision"),
    "appeals.undecided": N_("Not decided yet"),
    "actions.removed": N_("Removed"),
    "actions.restricted": N_("Shown to fewer people"),
    "actions.labelled": N_("Shown with a warning"),
    "actions.restored": N_("Put back"),
    "actions.none": N_("Left as it was"),
}
"""Rows and columns of those tables."""


def figure(table: str, name: str) -> str:
    """What a row or column of a table is called; a list's kind is its own name."""
    return FIGURES.get(f"{table}.{name}") or FIGURES.get(name) or name


GROUNDS: Mapping[Ground, str] = {
    Ground.WRONG_MATCH: N_("It was a different picture."),
    Ground.CONSENTED: N_("There was a sign that you had agreed to it."),
    Ground.NOT_INTIMATE: N_("It was not intimate."),
    Ground.PUBLIC_INTEREST: N_("There was a strong public reason to leave it."),
}

STEPS: Mapping[Step, str] = {
    Step.MATCHES_STOPPED: N_("Nothing of yours is looked for any more."),
    Step.CASES_CLOSED: N_("Open reviews about you are closed."),
    Step.INDEXES_CLEAR: N_("Every computer that held your codes has let go of them."),
    Step.KEY_SHREDDED: N_("Your key is destroyed. What it locked can never be read again."),
    Step.DATA_DESTROYED: N_("Your codes, your case number and your PIN are deleted."),
}

FATES: Mapping[Fate, str] = {
    Fate.PROTECTED: N_("We look for this one now."),
    Fate.TOO_PLAIN: N_("Too plain to tell from other pictures. Choose a sharper one."),
    Fate.TOO_COMMON: N_("Too many other pictures look like this one. Choose another."),
}

PROBLEMS: Mapping[str, str] = {
    "empty": N_("The file is empty. Choose another one."),
    "unsupported": N_("This is not a picture or clip that we know. Save it as JPEG or MP4."),
    "heic": N_("This browser cannot read iPhone HEIC files. Share or export it as JPEG."),
    "tiff": N_("This browser cannot read TIFF or raw photos. Export it as JPEG."),
    "jpeg2000": N_("This browser cannot read JPEG 2000. Export it as JPEG."),
    "jpegxl": N_("This browser cannot read JPEG XL. Export it as JPEG."),
    "see_through": N_("Parts of this picture are see-through. Save it as PNG or JPEG."),
    "cut_short": N_("The file is not complete. Copy it from your phone or camera again."),
    "broken": N_("The file is damaged, or your browser cannot read it. Save it as JPEG."),
    "too_large": N_("The file is too large. Save it smaller and try again."),
    "no_memory": N_("Your device ran out of memory. Close other pages, or use a computer."),
    "too_plain": N_("Too plain to tell from other pictures. Choose a sharper one."),
    "pixels_changed": N_(
        "This browser changes pictures when a page reads them, to hide who you are. Use another"
        " browser for this step, such as Chrome, Edge, Safari or Firefox."
    ),
    "old_browser": N_("This browser is too old. Update it, or use another one."),
    "video_unreadable": N_("Your browser cannot play this clip. Export it as MP4 (H.264)."),
    "video_pixels": N_("This browser cannot read clips. Use Chrome or Edge for this step."),
    "video_too_long": N_("The clip is longer than ten minutes. Cut it into parts."),
    "stopped": N_("Stopped."),
    "failed": N_("Something went wrong. Try again, or use another browser."),
}
"""The codes of ``static/device/problems.js``, in words, each with what to do."""

REFUSALS: Mapping[str, tuple[str, str]] = {
    "too_many_attempts": (
        N_("Please wait"),
        N_("There were too many wrong tries. Wait and try again. Minutes to wait: %(minutes)s. Your"
           " recovery code works at any time."),
    ),
    "denied": (N_("That did not work"), N_("Check what you typed and try again.")),
    "signed_out": (N_("You are signed out"), N_("Sign in again to go on.")),
    "other_site": (N_("That did not work"), N_("Open this page again and try from there.")),
    "not_found": (N_("Not here"), N_("There is no such page. Go to the start.")),
    "conflict": (N_("This has changed"), N_("Things have moved on. Look at your case again.")),
    "invalid": (N_("That did not work"), N_("Something is missing or wrong. Go back and check.")),
    "unavailable": (N_("Not just now"), N_("We cannot do this right now. Try again in a minute.")),
    "too_large": (N_("Too much at once"), N_("Send less at once.")),
    "error": (N_("Something went wrong"), N_("It is our fault, not yours. Please try again.")),
}  # fmt: skip
"""Every refusal by its code: a heading, and what to do next."""

PHOTOS: Mapping[str, str] = {
    "no face was found": N_("We found no face. Show your whole face from the front."),
    "there is more than one face": N_("There is more than one face. Be alone in the photo."),
    "the face is too small": N_("Your face is too small. Come closer."),
    "the face is too dark": N_("It is too dark. Turn towards a window or a lamp."),
    "the face is too bright": N_("It is too bright. Turn away from the light."),
    "the face is blurred": N_("It is blurred. Hold the camera still."),
    "the face is turned away": N_("Your face is turned too far. Look towards the camera."),
    "this is the same file": N_("You chose this photo twice. Take another one."),
    "this does not look like": N_("This looks like somebody else. Leave this photo out."),
}
"""How the beginnings of ``domain.photos``' problems are said to her."""

UNREADABLE = N_("We cannot read this photo. Take it again.")

ENROLMENTS: Mapping[EnrolmentState, str] = {
    EnrolmentState.PENDING: N_("Your face: a person will check that it is yours. Until then we do"
                               " not look for it."),
    EnrolmentState.APPROVED: N_("Your face: we look for it in intimate uploads."),
    EnrolmentState.FROZEN: N_("Your face: somebody else has asked for a face like yours. A person"
                              " will look at both. Until then we do not look for it."),
    EnrolmentState.REFUSED: N_("Your face: a person could not confirm that it is yours. Its codes"
                               " are destroyed. A help line can tell you more."),
}  # fmt: skip
"""Where an enrolment stands; those that ended by themselves are not spoken of."""


def photo(problem: str) -> str:
    """What to tell her of a photo's problem."""
    return next((said for start, said in PHOTOS.items() if problem.startswith(start)), UNREADABLE)
