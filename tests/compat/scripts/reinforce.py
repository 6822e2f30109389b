# ruff: noqa: F821, N814 - the tests give the names in capitals
import random

import numpy as np
from nas_201_api import NASBench201API as API

HP = "12"
api = API("NAS-Bench-201-v1_1-096897.pth", verbose=False)

random.seed(SEED)
rng = np.random.RandomState(SEED)
logits, baseline, history = np.zeros((6, len(OPS))), None, []
spent = 0.0
while spent < TIME_BUDGET:
    policy = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    actions = [rng.choice(len(OPS), p=row) for row in policy]
    arch = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*(OPS[action] for action in actions))
    index = api.query_index_by_arch(arch)
    info = api.get_more_info(index, "cifar10-valid", None, hp=HP, is_random=True)
    spent += info["train-all-time"]
    reward = info["valid-accuracy"]
    baseline = reward if baseline is None else 0.9 * baseline + 0.1 * reward
    for edge, action in enumerate(actions):
        logits[edge] -= 0.05 * (reward - baseline) * policy[edge]
        logits[edge, action] += 0.05 * (reward - baseline)
    history.append((index, reward))
best_index, best_accuracy = max(history, key=lambda pair: pair[1])
info = api.get_cost_info(best_index, "cifar10-valid", hp=HP)
