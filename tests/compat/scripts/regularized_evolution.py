# ruff: noqa: F821 - the tests give the names in capitals
import collections
import random

from nats_bench import create

HP = "12"
api = create("NATS-tss-v1_0-3ffb9-simple", "tss", fast_mode=True, verbose=False)


class Structure:
    def __init__(self, operations):
        self.operations = operations

    def tostr(self):
        return "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*self.operations)


def mutate(parent):
    operations = list(parent.operations)
    edge = random.randint(0, len(operations) - 1)
    operations[edge] = random.choice([name for name in OPS if name != operations[edge]])
    return Structure(operations)


random.seed(SEED)
api.reset_time()
population, history = collections.deque(), []
while api.used_time < TIME_BUDGET:
    if len(population) < 10:
        model = Structure([random.choice(OPS) for _ in range(6)])
    else:
        sample = [random.choice(population) for _ in range(3)]
        model = mutate(max(sample, key=lambda member: member[1])[0])
    accuracy, _, _, _ = api.simulate_train_eval(model, DATASET, hp=HP)
    population.append((model, accuracy))
    if len(population) > 10:
        population.popleft()
    history.append((api.query_index_by_arch(model), accuracy))
best_index, best_accuracy = max(history, key=lambda pair: pair[1])
info = api.get_net_config(best_index, "cifar10-valid")
