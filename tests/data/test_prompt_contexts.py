"""The stored prompts of the chapter msgcoop: all there, of the form that is promised."""

import numpy as np

from corelib.data import prompt_contexts

PROMPTS = {"CoOp": 1, "KgCoOp": 1, "SG": 1, "SG jittered": 1, "copy only": 1, "four prompts": 4, "MSGCoOp": 4}


def test_every_run_has_its_prompts():
    contexts = prompt_contexts()
    for name, context in contexts.items():
        arm, draw, rate, steps = name.split("/")
        assert context.shape == (PROMPTS[arm], 4, 384) and context.dtype == np.float32, name
        assert int(draw) >= 0 and float(rate) > 0 and int(steps) > 0
        assert np.isfinite(context).all() and 0.01 < np.abs(context).mean() < 5, name
    assert {name.split("/")[0] for name in contexts} == set(PROMPTS)


def test_no_two_runs_are_the_same():
    contexts = list(prompt_contexts().values())
    assert len({context.tobytes() for context in contexts}) == len(contexts)
