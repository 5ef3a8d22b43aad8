"""Logs of who solved which question, in the text format of py-irt: the full scale of the chapter on difficulty."""

import json
from pathlib import Path

import numpy as np

from corelib.data.answer_matrix import AnswerMatrix


def answer_log(file: str | Path = "data/squad.jsonlines") -> AnswerMatrix:
    """Answers of many systems to many questions, from a file with one JSON object a line.

    The format of the package py-irt (J. P. Lalor and P. Rodriguez, 2023), in which the answers of the SQuAD leaderboard
    were published (Rodriguez et al., *Evaluation Examples Are Not Equally Informative*, ACL 2021): ``{"subject_id":
    "name of a system", "responses": {"name of a question": 1, ...}}``, 1 for right and 0 for wrong. A question that is
    absent from a line was not asked. The per-question results of any leaderboard can be written so in a few lines.

    Parameters
    ----------
    file : str or Path
        Where the file lies. Nothing is downloaded.

    Returns
    -------
    AnswerMatrix
        Systems in the order of the file; questions in the order in which they first appear.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is not in the format, a system comes twice, or there is no answer at all.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from corelib.data import answer_log
    >>> line = '{"subject_id": "a", "responses": {"q1": 1, "q2": 0}}'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "log.jsonlines"
    ...     _ = file.write_text(line)
    ...     print(answer_log(file).responses)
    [[1. 0.]]
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(
            f"no answers at {file}; put a file there with one line a solver: "
            '{"subject_id": name, "responses": {question: 0 or 1, ...}}, the format of py-irt'
        )
    logs: dict[str, dict] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            solver, answers = _read_line(line, f"{file}, line {number}")
            if solver in logs:
                raise ValueError(f"{file}, line {number}: the solver {solver!r} comes twice")
            logs[solver] = answers
    column = {item: None for answers in logs.values() for item in answers}
    column = {item: position for position, item in enumerate(column)}
    if not column:
        raise ValueError(f"{file} must hold at least one answer; got none")
    responses = np.full((len(logs), len(column)), np.nan)
    for row, answers in zip(responses, logs.values(), strict=True):
        row[[column[item] for item in answers]] = list(answers.values())
    return AnswerMatrix(responses=responses, solvers=tuple(logs), items=tuple(column))


def _read_line(line: str, where: str) -> tuple[str, dict]:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: is no JSON ({error})") from error
    match entry:
        case {"subject_id": str(solver), "responses": dict(answers)}:
            pass
        case _:
            raise ValueError(
                f'{where}: must be an object with the text "subject_id" and the object "responses"'
            )
    for item, answer in answers.items():
        if answer not in (0, 1):
            raise ValueError(f"{where}: the answer to {item!r} must be 0 or 1; got {answer!r}")
    return solver, answers
