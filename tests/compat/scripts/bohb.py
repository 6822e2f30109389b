# ruff: noqa: F821 - the tests give the names in capitals
import random

from nats_bench import create

HP = "12"
api = create("NATS-tss-v1_0-3ffb9-simple", "tss", fast_mode=True, verbose=False)


def evaluate(index, epochs):
    accuracy, _, _, _ = api.simulate_train_eval(index, DATASET, iepoch=epochs - 1, hp=HP)
    return accuracy


random.seed(SEED)
api.reset_time()
history = []
while api.used_time < TIME_BUDGET:
    rung = [random.choice(CANDIDATES) for _ in range(9)]
    for epochs in EPOCHS:
        scores = [(evaluate(index, epochs), index) for index in rung]
        history += [(index, score) for score, index in scores]
        rung = [index for _, index in sorted(scores, reverse=True)[: max(1, len(scores) // 3)]]
best_index, best_accuracy = max(history[-1:], key=lambda pair: pair[1])
info = api.query_by_index(best_index, hp=HP).get_metrics("cifar10-valid", "x-valid", is_random=False)
