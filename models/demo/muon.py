"""Muon: momentum, made orthogonal. torch's own works in bf16, which is slow on a CPU without bf16 units."""

from collections import defaultdict

import torch


def orthogonal(update, rounds=5):
    """The nearest (roughly) orthogonal matrices to a stack of matrices, by Newton-Schulz steps."""
    tall = update.shape[-2] > update.shape[-1]
    x = update.mT if tall else update
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, matrices, lr, momentum=0.95, weight_decay=0.05):
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for weight in group["params"]:
                by_shape[weight.shape].append(weight)
            for shape, weights in by_shape.items():
                self._step_stack(weights, group, 0.2 * max(shape) ** 0.5)

    def _step_stack(self, weights, group, scale):
        for weight in weights:
            trace = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
            trace.lerp_(weight.grad, 1 - group["momentum"])
        ahead = [weight.grad.lerp(self.state[weight]["momentum"], group["momentum"]) for weight in weights]
        for weight, update in zip(weights, orthogonal(torch.stack(ahead))):
            weight.mul_(1 - group["lr"] * group["weight_decay"])
            weight.add_(update, alpha=-group["lr"] * scale)
