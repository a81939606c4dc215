"""Names that AWS does not know in their place: the name that was probably meant, and the place where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_omics.core.settings.fields import FIELDS, SETTING_FIELDS, Place, SettingField
from airflow_provider_omics.core.text import nearest_name

if TYPE_CHECKING:
    from collections.abc import Collection


def meant_field(name: str) -> SettingField | None:
    """Find the field, of whatever place, that is spelled like this but for case and underscores.

    :param name: the name as the user wrote it: a name of AWS for another place, a Python argument, other upper case.
    :return: the field, or None.
    """
    plain = name.replace("_", "").lower()
    for field in SETTING_FIELDS:
        spellings = (field.argument.replace("_", ""), field.name, field.start_run or "")
        if plain in (spelling.lower() for spelling in spellings):
            return field
    return None


def argument_hints(names: Collection[str], known: Collection[str]) -> str:
    """Hint at the arguments that were probably meant.

    :param names: arguments that an operator does not take.
    :param known: those that it takes.
    :return: a line for each that is nearly one, or that a batch takes elsewhere; empty: there is none.
    """
    lines = []
    for name in names:
        field = meant_field(name)
        of_batch = f"batch_{name}"
        if field is not None and field.argument in known:
            lines.append(f"{name}: this operator calls it {field.argument}")
        elif "default_run_setting" in known and of_batch in known:
            lines.append(f"{name}: {of_batch} of the batch, default_run_setting[{name!r}] or run_settings of its runs")
        elif "default_run_setting" in known and field is not None and field.default_run_setting:
            where = f"default_run_setting[{field.name!r}]"
            also = f", or run_settings[...][{field.name!r}] where runs differ" if field.per_run else ""
            lines.append(f"{name}: {where}{also}")
        elif (near := nearest_name(name, known)) is not None:
            lines.append(f"{name}: did you mean {near}?")
    return "\n".join(lines)


def unknown_name_advice(name: Any, place: Place) -> str:
    """Advise on a setting that has no place where it stands.

    :param name: the key as the user wrote it.
    :param place: where it stands.
    :return: the spelling of AWS, the place where it belongs, or the nearest known name.
    """
    if not isinstance(name, str):
        return "the name of a setting is text"
    fields = FIELDS[place]
    field = meant_field(name)
    if field is not None:
        here = field.name_in(place)
        if here in fields:
            return f"unknown; AWS spells it {here!r} here"
        spelling = "" if here == name else f" (AWS spells it {here!r})"
        return f"{_misplaced_advice(field, place)}{spelling}"
    near = nearest_name(name, fields)
    return f"unknown; did you mean {near!r}?" if near else f"unknown; known are {', '.join(sorted(fields))}"


def _misplaced_advice(field: SettingField, place: Place) -> str:
    if field.name == "requestId":
        return "set by the operator, once for each intended start: leave it out"
    if field.name == "runId":
        return "a batch cannot repeat runs: use OmicsStartRunOperator(source_run_id=...)"
    if field.name == "runSettingId":
        return "belongs to each run of a batch: run_settings[...]['runSettingId']"
    if place is Place.START_RUN:
        return "StartRun has no such field; it exists for batches only"
    if not field.default_run_setting:
        return f"exists for single runs only: OmicsStartRunOperator({field.argument}=...)"
    also = " or to the argument scratch_storage_mode" if field.name == "scratchStorageMode" else ""
    return f"cannot differ between the runs of a batch: move it to default_run_setting[{field.name!r}]{also}"
