"""Asking both accounts, and the report, which can be attached to an issue: no id, account, name or place is in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_omics.emulator.compare.account import Account, CannotAskError, Exchange, refusal
from airflow_provider_omics.emulator.compare.questions import NOT_ASKED, Facts, Question

_REPLACED = (
    (re.compile(r"arn:aws[\w-]*:[^\s\"',)]+"), "arn:..."),
    (re.compile(r"s3://[^\s\"',)]+"), "s3://..."),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<uuid>"),
    (re.compile(r"healthomics-compare-[0-9a-f]+"), "<name>"),
    (re.compile(r"\b\d{12}\b"), "123456789012"),
    (re.compile(r"\b\d{5,}\b"), "<id>"),
)


@dataclass(frozen=True)
class Answer:
    """The answer of one account to a question.

    :param facts: the answer; None: it could not be asked.
    :param trouble: why not.
    :param exchanges: the calls that were made for it.
    """

    facts: Facts | None
    trouble: str = ""
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """A question with the answers of both accounts.

    :param question: the question.
    :param theirs: AWS's answer.
    :param ours: the emulator's.
    """

    question: Question
    theirs: Answer
    ours: Answer

    @property
    def is_same(self) -> bool | None:
        """Whether both answered the same; None: one of them could not be asked."""
        if self.theirs.facts is None or self.ours.facts is None:
            return None
        return self.theirs.facts == self.ours.facts


def ask(account: Account, question: Question) -> Answer:
    """Ask one account.

    :param account: the account.
    :param question: the question.
    :return: the answer; a call that was refused where it has to succeed leaves the question open.
    """
    before = len(account.exchanges)
    facts, trouble = None, ""
    try:
        facts = question.ask(account)
    except ClientError as error:
        trouble = f"{refusal(error)['error']}: {error}"
    except (BotoCoreError, CannotAskError) as error:
        trouble = str(error)
    return Answer(facts, trouble, tuple(account.exchanges[before:]))


def compare(
    theirs: Account, ours: Account, questions: Iterable[Question], say: Callable[[str], None]
) -> list[Comparison]:
    """Ask both accounts all questions.

    :param theirs: AWS's account.
    :param ours: the emulator's.
    :param questions: the questions.
    :param say: gets a line for each question.
    :return: the answers.
    """
    compared = []
    for question in questions:
        found = Comparison(question, ask(theirs, question), ask(ours, question))
        say(f"{_verdict(found):9} {question.name}: {question.text}")
        compared.append(found)
    return compared


def report(compared: Iterable[Comparison], left: Iterable[str], versions: str) -> str:
    """Write the report.

    :param compared: the answers.
    :param left: what could not be removed, a line each.
    :param versions: of package and SDK.
    :return: Markdown without ids, accounts, names or places.
    """
    compared = list(compared)
    count = {
        verdict: sum(_verdict(each) == verdict for each in compared) for verdict in ("same", "DIFFERENT", "not asked")
    }
    lines = [
        "# The local HealthOmics and AWS",
        "",
        f"{versions}. Of {len(compared)} questions: {', '.join(f'{number} {name}' for name, number in count.items())}.",
        "",
        "| question | AWS | local | |",
        "| --- | --- | --- | --- |",
    ]
    for each in compared:
        asked = f"`{each.question.name}` {each.question.text}"
        lines.append(f"| {asked} | {_shown(each.theirs)} | {_shown(each.ours)} | {_verdict(each)} |")
    different = [each for each in compared if each.is_same is not True]
    if different:
        lines += ["", "## Calls behind what is not the same"]
    for each in different:
        lines += ["", f"### {each.question.name}", ""]
        lines += [f"- AWS: {_call(exchange)}" for exchange in each.theirs.exchanges]
        lines += [f"- local: {_call(exchange)}" for exchange in each.ours.exchanges]
    lines += ["", "## Not asked", "", *(f"- {name}: {reason}" for name, reason in NOT_ASKED.items())]
    left = list(left)
    if left:
        lines += ["", f"{len(left)} things could not be removed; the command has named them."]
    return "\n".join(lines) + "\n"


def redacted(text: str) -> str:
    """Replace ids, accounts, ARNs, names and places.

    :param text: a message of AWS's.
    """
    for pattern, placeholder in _REPLACED:
        text = pattern.sub(placeholder, text)
    return text.replace("|", "\\|").replace("\n", " ")


def _verdict(compared: Comparison) -> str:
    return {True: "same", False: "DIFFERENT", None: "not asked"}[compared.is_same]


def _shown(answer: Answer) -> str:
    return redacted(
        f"not asked: {answer.trouble}" if answer.facts is None else json.dumps(answer.facts, sort_keys=True)
    )


def _call(exchange: Exchange) -> str:
    message: Any = f": {exchange.message}" if exchange.message else ""
    return redacted(f"{exchange.operation} {exchange.answer}{message}")
