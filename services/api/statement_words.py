"""A statement of reasons in words, in four languages: what Article 17(3) wants, and nobody's name.

The German, Spanish and Arabic texts were written by people who work on this software, not by
lawyers or sworn translators; a platform's counsel should read them once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pipeline.domain.action import ActionKind
from pipeline.domain.statement import Statement
from services.api.transparency_database import EEA, Country, Ground

Language = Literal["en", "de", "es", "ar"]

_EN: Mapping[str, str] = {
    "title": "Why your content was restricted",
    "reference": "Reference: {reference}",
    "removed": "What was done: the content that you uploaded on {uploaded} was removed. This has"
    " applied since {applied}, and until it is lifted.",
    "restricted": "What was done: fewer people can see the content that you uploaded on"
    " {uploaded}. This has applied since {applied}, and until it is lifted.",
    "labelled": "What was done: the content that you uploaded on {uploaded} carries a warning."
    " This has applied since {applied}, and until it is lifted.",
    "everywhere": "Where: wherever this service can be used.",
    "somewhere": "Where: {countries}.",
    "noticed": "Why: somebody told us of it in a notice. A trained person examined it and decided"
    " on {decided} that it is intimate material that was published without the consent of the"
    " person whom it shows.",
    "found": "Why: your upload was compared with intimate material that people do not want"
    " published, and is near enough to be a copy, or to show the same person in such material. A"
    " trained person looked at it and confirmed this on {decided}.",
    "repeat": "Why: your upload repeats content that a trained person had looked at and confirmed"
    " on {decided} as intimate material that was published without consent.",
    "by_person": "Automated means: {detected} A person decided.",
    "by_software": "Automated means: {detected} Because it repeats confirmed content, nobody"
    " looked at it again.",
    "detected": "Software found the content.",
    "told": "No software was used to find the content.",
    "terms": "Ground: the terms of this service do not allow intimate material without the"
    " consent of the person whom it shows.",
    "law": "Ground: the law. Publishing intimate or manipulated material of somebody without"
    " consent is an offence (Directive (EU) 2024/1385, Article 5, and the national law that"
    " transposes it).",
    "rights": "What you can do: you can complain to this service, free of charge, within six"
    " months; somebody who had no part in the decision will decide again. You can turn to a"
    " certified out-of-court dispute settlement body, and you can go to court.",
}
_DE: Mapping[str, str] = {
    "title": "Warum Ihr Inhalt eingeschränkt wurde",
    "reference": "Zeichen: {reference}",
    "removed": "Was geschah: Der Inhalt, den Sie am {uploaded} hochgeladen haben, wurde entfernt."
    " Das gilt seit dem {applied} und bis es aufgehoben wird.",
    "restricted": "Was geschah: Den Inhalt, den Sie am {uploaded} hochgeladen haben, können"
    " weniger Menschen sehen. Das gilt seit dem {applied} und bis es aufgehoben wird.",
    "labelled": "Was geschah: Der Inhalt, den Sie am {uploaded} hochgeladen haben, trägt einen"
    " Warnhinweis. Das gilt seit dem {applied} und bis es aufgehoben wird.",
    "everywhere": "Wo: überall, wo dieser Dienst genutzt werden kann.",
    "somewhere": "Wo: {countries}.",
    "noticed": "Warum: Jemand hat den Inhalt gemeldet. Ein geschulter Mensch hat ihn geprüft und"
    " am {decided} entschieden, dass es intimes Material ist, das ohne Zustimmung der gezeigten"
    " Person veröffentlicht wurde.",
    "found": "Warum: Ihr Inhalt wurde mit intimem Material verglichen, dessen Veröffentlichung"
    " Menschen nicht wünschen. Er ist ihm so nah, dass er eine Kopie ist oder dieselbe Person in"
    " solchem Material zeigt. Ein geschulter Mensch hat ihn angesehen und das am {decided}"
    " bestätigt.",
    "repeat": "Warum: Ihr Inhalt wiederholt einen Inhalt, den ein geschulter Mensch angesehen und"
    " am {decided} als intimes Material bestätigt hat, das ohne Zustimmung veröffentlicht wurde.",
    "by_person": "Automatisierte Mittel: {detected} Ein Mensch hat entschieden.",
    "by_software": "Automatisierte Mittel: {detected} Weil er einen bestätigten Inhalt"
    " wiederholt, hat ihn niemand erneut angesehen.",
    "detected": "Software hat den Inhalt gefunden.",
    "told": "Der Inhalt wurde nicht von Software gefunden.",
    "terms": "Grund: Die Bedingungen dieses Dienstes erlauben kein intimes Material ohne"
    " Zustimmung der gezeigten Person.",
    "law": "Grund: das Gesetz. Intimes oder manipuliertes Material eines Menschen ohne Zustimmung"
    " zu veröffentlichen ist eine Straftat (Richtlinie (EU) 2024/1385, Artikel 5, und das"
    " nationale Recht, das sie umsetzt).",
    "rights": "Was Sie tun können: Sie können sich innerhalb von sechs Monaten kostenlos bei"
    " diesem Dienst beschweren; jemand, der an der Entscheidung nicht beteiligt war, entscheidet"
    " neu. Sie können sich an eine zugelassene außergerichtliche Streitbeilegungsstelle wenden,"
    " und Sie können vor Gericht gehen.",
}
_ES: Mapping[str, str] = {
    "title": "Por qué se ha restringido su contenido",
    "reference": "Referencia: {reference}",
    "removed": "Qué se hizo: el contenido que usted subió el {uploaded} se ha eliminado. Rige"
    " desde el {applied} y hasta que se levante.",
    "restricted": "Qué se hizo: menos personas pueden ver el contenido que usted subió el"
    " {uploaded}. Rige desde el {applied} y hasta que se levante.",
    "labelled": "Qué se hizo: el contenido que usted subió el {uploaded} lleva una advertencia."
    " Rige desde el {applied} y hasta que se levante.",
    "everywhere": "Dónde: en todos los lugares donde se puede usar este servicio.",
    "somewhere": "Dónde: {countries}.",
    "noticed": "Por qué: alguien notificó el contenido. Una persona formada lo examinó y decidió"
    " el {decided} que es material íntimo publicado sin el consentimiento de la persona que"
    " aparece en él.",
    "found": "Por qué: su contenido se comparó con material íntimo cuya publicación otras"
    " personas no desean, y se parece lo bastante para ser una copia o mostrar a la misma persona"
    " en ese tipo de material. Una persona formada lo miró y lo confirmó el {decided}.",
    "repeat": "Por qué: su contenido repite otro que una persona formada había mirado y"
    " confirmado el {decided} como material íntimo publicado sin consentimiento.",
    "by_person": "Medios automatizados: {detected} Decidió una persona.",
    "by_software": "Medios automatizados: {detected} Como repite un contenido confirmado, nadie"
    " lo volvió a mirar.",
    "detected": "El contenido lo encontró un programa.",
    "told": "El contenido no lo encontró ningún programa.",
    "terms": "Fundamento: las condiciones de este servicio no permiten material íntimo sin el"
    " consentimiento de la persona que aparece en él.",
    "law": "Fundamento: la ley. Publicar material íntimo o manipulado de alguien sin su"
    " consentimiento es delito (Directiva (UE) 2024/1385, artículo 5, y el derecho nacional que"
    " la transpone).",
    "rights": "Qué puede hacer: puede reclamar ante este servicio, gratis, en un plazo de seis"
    " meses; decidirá de nuevo alguien que no participó en la decisión. Puede acudir a un órgano"
    " certificado de resolución extrajudicial de litigios y puede acudir a los tribunales.",
}
_AR: Mapping[str, str] = {
    "title": "لماذا قُيِّد المحتوى الذي نشرته",
    "reference": "المرجع: {reference}",
    "removed": "ما الذي حدث: أُزيل المحتوى الذي رفعته في {uploaded}. يسري ذلك منذ {applied} وإلى"
    " أن يُلغى.",
    "restricted": "ما الذي حدث: صار عدد أقل من الناس يرى المحتوى الذي رفعته في {uploaded}. يسري"
    " ذلك منذ {applied} وإلى أن يُلغى.",
    "labelled": "ما الذي حدث: وُضع تحذير على المحتوى الذي رفعته في {uploaded}. يسري ذلك منذ"
    " {applied} وإلى أن يُلغى.",
    "everywhere": "أين: في كل مكان يمكن فيه استخدام هذه الخدمة.",
    "somewhere": "أين: {countries}.",
    "noticed": "لماذا: أبلغ شخص عن هذا المحتوى. فحصه شخص مدرَّب وقرر في {decided} أنه مادة حميمة"
    " نُشرت من دون موافقة الشخص الظاهر فيها.",
    "found": "لماذا: قورن ما رفعته بمواد حميمة لا يريد أصحابها نشرها، وهو قريب منها بحيث يكون"
    " نسخة منها أو يُظهر الشخص نفسه في مادة كهذه. نظر إليه شخص مدرَّب وأكد ذلك في {decided}.",
    "repeat": "لماذا: يكرر ما رفعته محتوى كان شخص مدرَّب قد نظر إليه وأكد في {decided} أنه مادة"
    " حميمة نُشرت من دون موافقة.",
    "by_person": "الوسائل الآلية: {detected} وقد اتخذ القرارَ إنسان.",
    "by_software": "الوسائل الآلية: {detected} ولأنه يكرر محتوى مؤكدًا لم ينظر إليه أحد مرة أخرى.",
    "detected": "عثر برنامج على المحتوى.",
    "told": "لم يُستخدم برنامج للعثور على المحتوى.",
    "terms": "الأساس: لا تسمح شروط هذه الخدمة بمواد حميمة من دون موافقة الشخص الظاهر فيها.",
    "law": "الأساس: القانون. نشر مواد حميمة أو معدَّلة لشخص من دون موافقته جريمة (التوجيه"
    " (الاتحاد الأوروبي) 2024/1385، المادة 5، والقانون الوطني الذي ينقله).",
    "rights": "ما الذي يمكنك فعله: يمكنك أن تشتكي إلى هذه الخدمة مجانًا خلال ستة أشهر، فيقرر من"
    " جديد شخص لم يشارك في القرار. ويمكنك اللجوء إلى هيئة معتمدة لتسوية النزاعات خارج المحكمة،"
    " ويمكنك اللجوء إلى القضاء.",
}
WORDS: Mapping[Language, Mapping[str, str]] = {"en": _EN, "de": _DE, "es": _ES, "ar": _AR}

_DONE = {
    ActionKind.REMOVED: "removed",
    ActionKind.RESTRICTED: "restricted",
    ActionKind.LABELLED: "labelled",
}


def in_words(
    statement: Statement,
    language: Language,
    ground: Ground = "terms",
    territory: tuple[Country, ...] = EEA,
) -> str:
    """The statement as plain text, a paragraph each."""
    words = WORDS[language]
    if statement.noticed:
        why, detected = "noticed", words["told"]
    else:
        why, detected = "repeat" if statement.by_repeat else "found", words["detected"]
    parts = [
        words["title"],
        words[_DONE[statement.restriction]],
        words["everywhere" if territory == EEA else "somewhere"],
        words[why],
        words["by_software" if statement.by_repeat else "by_person"],
        words[ground],
        words["rights"],
        words["reference"],
    ]
    return (
        "\n\n".join(parts).format(
            reference=statement.screening,
            uploaded=statement.uploaded.isoformat(),
            applied=statement.applied.isoformat(),
            decided=statement.decided.isoformat(),
            countries=", ".join(territory),
            detected=detected,
        )
        + "\n"
    )
