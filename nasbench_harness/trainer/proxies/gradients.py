"""Scores from the gradient of one batch's loss: snip, grad_norm, plain, grasp, fisher, ZiCo; and l2_norm without one.

The layer set is the weights of every convolution and linear layer. A layer without a gradient counts 0. The network is
in training mode, so normalizations use the statistics of the batch.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench_harness.trainer.proxies.inputs import Batch
from nasbench_harness.trainer.proxies.network import private_copy, scored_layers


def l2_norm(network: nn.Module, batch: Batch) -> float:
    """Σ over layers ‖W‖₂ (Abdelfattah et al., ICLR 2021)."""
    del batch
    return sum(float(layer.weight.detach().double().norm()) for _, layer in scored_layers(network))


def snip(network: nn.Module, batch: Batch) -> float:
    """Σ |w · g|, a sum and no mean (Lee et al., "SNIP", ICLR 2019)."""
    pairs = _weights_and_gradients(network, batch, "snip")
    return sum(float((weight * gradient).double().abs().sum()) for weight, gradient in pairs)


def grad_norm(network: nn.Module, batch: Batch) -> float:
    """Σ over layers ‖g‖₂, which is not the norm of all gradients together (Abdelfattah et al., ICLR 2021)."""
    pairs = _weights_and_gradients(network, batch, "grad_norm")
    return sum(float(gradient.double().norm()) for _, gradient in pairs)


def plain(network: nn.Module, batch: Batch) -> float:
    """Σ w · g (Mozer and Smolensky, 1988). Its sign and size are noise across initializations."""
    pairs = _weights_and_gradients(network, batch, "plain")
    return sum(float((weight * gradient).double().sum()) for weight, gradient in pairs)


def grasp(network: nn.Module, batch: Batch) -> float:
    """Σ −w · ∂z/∂w with z = Σ g₁ · g₂ of two passes of one batch (Wang et al., "GraSP", ICLR 2020).

    g₁ is a constant of the derivative. The score has a heavy tail.
    """
    copied = private_copy(network)
    weights = [layer.weight for _, layer in scored_layers(copied)]
    labels = batch.need_labels("grasp")
    first = torch.autograd.grad(_loss(copied, batch.images, labels), weights, allow_unused=True)
    loss = _loss(copied, batch.images, labels)
    second = torch.autograd.grad(loss, weights, allow_unused=True, create_graph=True)
    terms = [(one * two).sum() for one, two in zip(first, second, strict=True) if one is not None and two is not None]
    product = torch.stack(terms).sum()
    slopes = torch.autograd.grad(product, weights, allow_unused=True)
    return sum(
        float((-weight.detach() * slope).double().sum())
        for weight, slope in zip(weights, slopes, strict=True)
        if slope is not None
    )


def fisher(network: nn.Module, batch: Batch) -> float:
    """Σ d_c · (weights per output channel), d_c = ½ mean_n (Σ_xy a · ∂L/∂a)² of each layer's output a before its BN.

    Turner et al., "BlockSwap", ICLR 2020. The loss is the mean over the batch. The factor, the number of weights of an
    output channel, comes from summing over weights.
    """
    copied = private_copy(network)
    layers = [layer for _, layer in scored_layers(copied)]
    outputs: list[tuple[nn.Module, Tensor]] = []
    for layer in layers:
        layer.register_forward_hook(lambda module, _, output: outputs.append((module, output)))
    loss = _loss(copied, batch.images, batch.need_labels("fisher"))
    slopes = torch.autograd.grad(loss, [output for _, output in outputs], allow_unused=True)
    total = 0.0
    for (layer, output), slope in zip(outputs, slopes, strict=True):
        if slope is None:
            continue
        per_channel = (output.detach() * slope).double().reshape(*output.shape[:2], -1).sum(2)
        total += float(0.5 * per_channel.square().mean(0).sum()) * layer.weight[0].numel()
    return total


def zico(network: nn.Module, batch: Batch) -> float:
    """Σ over layers log Σ_w mean|g| / std|g| over two batches (Li et al., "ZiCo", ICLR 2023).

    The standard deviation is that of the two values (division by 2). Weights whose gradients do not differ are left
    out; a layer with no other weight adds nothing. A weight whose gradients nearly agree dominates its layer, so the
    rounding of another processor moves the score by up to 1 %.
    """
    first = _weights_and_gradients(network, batch, "zico")
    following = replace(batch, images=batch.next_images, labels=batch.next_labels)
    second = _weights_and_gradients(network, following, "zico")
    total = 0.0
    for (_, one), (_, two) in zip(first, second, strict=True):
        sizes = torch.stack([one.abs(), two.abs()]).double()
        spread = sizes.std(0, unbiased=False)
        ratios = (sizes.mean(0) / spread)[spread > 0].sum()
        if ratios > 0:
            total += float(ratios.log())
    return total


def _weights_and_gradients(network: nn.Module, batch: Batch, score: str) -> list[tuple[Tensor, Tensor]]:
    """(weight, gradient of the mean cross-entropy) of every layer; zeros if a layer has no gradient."""
    copied = private_copy(network)
    weights = [layer.weight for _, layer in scored_layers(copied)]
    loss = _loss(copied, batch.images, batch.need_labels(score))
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return [
        (weight.detach(), torch.zeros_like(weight) if gradient is None else gradient)
        for weight, gradient in zip(weights, gradients, strict=True)
    ]


def _loss(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(network(images), labels)
