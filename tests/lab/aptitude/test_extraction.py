"""Reading answers: what counts as one, and what is reported as none."""

from __future__ import annotations

import pytest

from modelsat.lab.aptitude.replies import Reply, read_choice

OPTIONS = ("Shareholders, interest", "Diligence", "Self", "x", "y", "z", "q", "r", "s", "t")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("C", "C"),
        ("c", "C"),
        ("(C)", "C"),
        ("The answer is (C).", "C"),
        ("**Answer: (C)**", "C"),
        ("### Answer: C", "C"),
        ("Answer:\n(C)", "C"),
        ("Answer: C. Self", "C"),
        ("answer: c", "C"),
        ("My answer: 'c'", "C"),
        ("The correct answer is option (d).", "D"),
        ("The best option is B.", "B"),
        ("I choose C", "C"),
        ("Answer: (C)\n\nHope this helps!", "C"),
        ("Final answer\n\nB", "B"),
        ("A. Shareholders", "A"),
        ("Diligence", "B"),
        ("The answer is: Diligence.", "B"),
        ("The answer is not (A). The answer is (B).", "B"),
        ("Option A is wrong. Option B looks right.\n\nAnswer: B", "B"),
        ("\\boxed{E}", "E"),
        ("$\\boxed{\\text{E}}$", "E"),
        ("The answer is $\\mathbf{C}$", "C"),
        ('{"answer": "D"}', "D"),
        ('```json\n{"reasoning": "A or B?", "answer": "D. x"}\n```', "D"),
        ("<think>The answer is A</think>\nAnswer: (B)", "B"),
        ("The answer is A</think> so Answer: (B)", "B"),
        ("<|channel|>analysis<|message|>Answer: A<|channel|>final<|message|>Answer: (B)", "B"),
        ("Die Antwort ist (C).", "C"),
        ("La réponse est C", "C"),
        ("respuesta correcta: (C)", "C"),
        ("Ответ: В", "B"),
        ("答案是C。", "C"),
        ("正确答案是 **C**", "C"),
        ("答えは（Ｃ）です", "C"),
        ("정답은 C입니다", "C"),
        ("الإجابة الصحيحة هي (C)", "C"),
    ],
)
def test_a_stated_letter_is_read(text: str, letter: str) -> None:
    assert read_choice(Reply(text), OPTIONS).answer == letter


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply(""), "empty"),
        (Reply("   \n"), "empty"),
        (Reply("", reasoning="I think it is A"), "only reasoning"),
        (Reply("<think>hmm, answer: (A)"), "only reasoning"),
        (Reply("", finish="length"), "truncated"),
        (Reply("If the answer is A, then", finish="length"), "truncated"),
        (Reply("<think>The answer is A", finish="length"), "truncated"),
        (Reply("", finish="content_filter"), "blocked"),
        (Reply("", problem="too long"), "too long"),
        (Reply("I'm sorry, but I can't help with that."), "refused"),
        (Reply("Answer: A or B"), "ambiguous"),
        (Reply("A\nB"), "ambiguous"),
        (Reply("Answer: (K)"), "no such option"),
        (Reply("A man walked in"), "no answer"),
        (Reply("The answer is a difficult one"), "no answer"),
        (Reply("Option A: no. Option B: yes"), "no answer"),
        (Reply("<html><body>502 Bad Gateway</body></html>"), "no answer"),
    ],
)
def test_what_is_no_answer_is_named_and_never_guessed(reply: Reply, problem: str) -> None:
    reading = read_choice(reply, OPTIONS)
    assert (reading.answer, reading.problem) == (None, problem)


def test_a_cut_off_reply_counts_if_it_gave_the_line_asked_for() -> None:
    assert read_choice(Reply("So it is.\nAnswer: (C)", finish="length"), OPTIONS).answer == "C"
