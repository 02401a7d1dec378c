"""What a worker can be asked: a row each, with the function that answers it.

A function takes the worker's `bench.workers.serve.State` and the request's arguments, and returns what JSON can hold.
It is imported by the worker when it is first asked: what asks needs neither torch nor the module.
"""

REQUESTS = {
    # Of a run.
    "hold": "bench.workers.images.hold",
    "devices": "bench.workers.survey.devices",
    "try_devices": "bench.workers.survey.try_devices",
    "set_aside": "bench.workers.survey.set_aside",
    "gpu": "bench.workers.survey.gpu",
    "survey": "bench.workers.survey.survey",
    "hide_gpus": "bench.workers.survey.hide_gpus",
    "thread_seconds": "bench.workers.survey.thread_seconds",
    "rates": "bench.workers.survey.rates",
    "calibrate": "bench.workers.survey.calibrate",
    "prepare": "bench.workers.turns.prepare",
    "pace": "bench.workers.turns.pace",
    "turn": "bench.workers.turns.turn",
    "train_seed": "bench.workers.turns.train_seed",
    "observe": "bench.workers.observe.observe",
    "try_once": "bench.workers.turns.try_once",
    # Of a comparison of two trees.
    "program": "bench.workers.program.take",
    "versions": "bench.workers.versions.versions",
    "pin": "bench.workers.turns.pin",
    "count": "bench.workers.counting.count_case",
    "count_evaluation": "bench.workers.counting.count_evaluation",
    "count_compilations": "bench.workers.counting.count_compilations",
    "train": "bench.workers.counting.train_seeds",
    # Of a program of the user's own.
    "own": "bench.workers.own.take",
    "own_facts": "bench.workers.own.facts",
    "own_count": "bench.workers.own.count_step",
    "own_count_evaluation": "bench.workers.own.count_evaluation",
    "own_learn": "bench.workers.own.learn",
    # In a process of their own.
    "compile_cold": "bench.workers.cold.first_steps",
    "start_up": "bench.workers.cold.start_up",
    "many_steps": "bench.workers.cold.many_steps",
    "profile": "bench.profile.child.look",
    "ladder_bound": "bench.ladder.child.bound",
    "ladder_prepare": "bench.ladder.child.prepare",
    "ladder_epoch": "bench.ladder.child.epoch",
}

# What is done meanwhile to the case, or to the program of the user's own, by requests that run it.
DOING = {
    "prepare": "it was made and warmed up",
    "turn": "it was timed",
    "train_seed": "it was trained",
    "observe": "it was taken apart",
    "try_once": "it was tried",
    "count": "a step was counted",
    "count_evaluation": "its evaluation was counted",
    "count_compilations": "its compilations were counted",
    "train": "it was trained",
    "own_facts": "it was made and warmed up",
    "own_count": "a step was counted",
    "own_count_evaluation": "its evaluation was counted",
    "own_learn": "it was trained",
    "profile": "it was profiled",
}
