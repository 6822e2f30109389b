# ruff: noqa: F821 - the tests give the names in capitals
import random

from nats_bench import create

HP = "12"
api = create("NATS-tss-v1_0-3ffb9-simple", "tss", fast_mode=True, verbose=False)


def random_architecture():
    return "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*(random.choice(OPS) for _ in range(6)))


random.seed(SEED)
api.reset_time()
history, total_time = [], []
while len(total_time) == 0 or total_time[-1] < TIME_BUDGET:
    arch = random_architecture()
    accuracy, _, _, total_cost = api.simulate_train_eval(arch, DATASET, hp=HP)
    total_time.append(total_cost)
    history.append((api.query_index_by_arch(arch), accuracy))
best_index, best_accuracy = max(history, key=lambda pair: pair[1])
info = api.query_info_str_by_arch(api.arch(best_index), HP)
