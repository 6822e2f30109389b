"""The scores by name, without torch: formulas, papers, needs, and the settings of the shipped table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nasbench_harness.errors import UnknownNameError
from nasbench_harness.trainer.proxies.macro import FULL_SIZE, Macro

Method = Literal["counted", "closed form", "batched", "one at a time"]


@dataclass(frozen=True)
class Fast:
    """How the shipped table computes a score.

    Attributes:
        method: Counted, in closed form under expected weights, or batched with shared weights.
        macro: Skeleton and batch.
        data: Images, as ``make_batch`` names them.
    """

    method: Method
    macro: Macro
    data: str = "noise"


@dataclass(frozen=True)
class Proxy:
    """A score that needs no training; larger is better.

    Attributes:
        name: Name of the score and of its column.
        formula: Formula, in one line.
        paper: Its source.
        reference: Function (network, batch) → number, ``module:function``.
        initialization: Weights that the score is defined for.
        needs_labels: Whether permuted labels change it.
        fast: Setting of the shipped table; None if there is only the reference.
    """

    name: str
    formula: str
    paper: str
    reference: str
    initialization: str = "PyTorch default"
    needs_labels: bool = False
    fast: Fast | None = None


_HERE = "nasbench_harness.trainer.proxies"
_EXPECTED, _NORMAL, _KAIMING = "expected |w| of the PyTorch default", "N(0, 1)", "N(0, 2 / fan-in)"
_SMALL = Macro(num_cells=3, channels=8, side=16, batch_size=12)
# The last stage has 6 · 6 pixels and 32 channels: at a side of 16 its correlations would be singular.
_ONE_IMAGE = Macro(num_cells=5, channels=8, side=24, batch_size=1)
_COUNT = Fast("counted", FULL_SIZE)
_ABDELFATTAH = "Abdelfattah et al., ICLR 2021"


def _proxies() -> tuple[Proxy, ...]:
    zen = Fast("batched", Macro(num_cells=3, channels=8, side=16, batch_size=4))
    zen_paper = "Lin et al., ICCV 2021"
    az = "Lee and Ham, CVPR 2024"
    return (
        Proxy("params", "number of trained weights", "the baseline to beat", f"{_HERE}.size:params", fast=_COUNT),
        Proxy("flops", "multiply-accumulates of one image", "the baseline to beat", f"{_HERE}.size:flops", fast=_COUNT),
        Proxy("l2_norm", "Σ layers ‖W‖₂", _ABDELFATTAH, f"{_HERE}.gradients:l2_norm", fast=_COUNT),
        Proxy(
            "synflow",
            "log Σ w·∂R/∂w, R = Σ logits of one image of ones, |w|, no normalization, double",
            "Tanaka et al., NeurIPS 2020",
            f"{_HERE}.synaptic:synflow",
            fast=Fast("closed form", FULL_SIZE),
        ),
        Proxy(
            "logsynflow",
            "Σ |w·log(1 + ∂R/∂w)|, otherwise as synflow",
            "Cavagnero et al., 2022",
            f"{_HERE}.synaptic:logsynflow",
            fast=Fast("closed form", FULL_SIZE),
        ),
        Proxy(
            "nwot",
            "log |det K|, K = Σ ReLU modules C·Cᵀ + (1 − C)(1 − C)ᵀ, C = (ReLU input > 0)",
            "Mellor et al., ICML 2021",
            f"{_HERE}.activations:nwot",
            fast=Fast("batched", Macro(num_cells=3, channels=8, side=16, batch_size=16), "animals"),
        ),
        Proxy(
            "meco",
            "Σ modules smallest eigenvalue of the channels' correlations, one image",
            "Jiang et al., NeurIPS 2023",
            f"{_HERE}.meco:meco",
            fast=Fast("batched", _ONE_IMAGE),
        ),
        Proxy(
            "swap",
            "number of distinct patterns over at most 16 images among all ReLU outputs",
            "Peng et al., ICLR 2024",
            f"{_HERE}.activations:swap",
            _NORMAL,
            fast=Fast("batched", _SMALL, "animals"),
        ),
        Proxy(
            "jacob_cov",
            "−Σ [log(v + 1e-5) + 1 / (v + 1e-5)], v = eigenvalues of corrcoef(∂ Σ logits / ∂x)",
            "Mellor et al., 2020",
            f"{_HERE}.jacobian:jacob_cov",
            fast=Fast("batched", _SMALL, "animals"),
        ),
        Proxy("zen", "zen_features + zen_norm", zen_paper, f"{_HERE}.zen:zen", _NORMAL, fast=zen),
        Proxy(
            "zen_features",
            "log mean Σ |f(x) − f(x')|, x' = x + .01·x₂, before pooling",
            zen_paper,
            f"{_HERE}.zen:zen_features",
            _NORMAL,
            fast=zen,
        ),
        Proxy(
            "zen_norm",
            "Σ normalizations ½ log mean(running variance)",
            zen_paper,
            f"{_HERE}.zen:zen_norm",
            _NORMAL,
            fast=zen,
        ),
        Proxy("snip", "Σ |w·g|", "Lee et al., ICLR 2019", f"{_HERE}.gradients:snip", needs_labels=True),
        Proxy("grad_norm", "Σ layers ‖g‖₂", _ABDELFATTAH, f"{_HERE}.gradients:grad_norm", needs_labels=True),
        Proxy(
            "grasp",
            "Σ −w·∂z/∂w, z = Σ g₁·g₂ of two passes of one batch",
            "Wang et al., ICLR 2020",
            f"{_HERE}.gradients:grasp",
            needs_labels=True,
        ),
        Proxy(
            "fisher",
            "Σ d_c·(weights per output channel), d_c = ½ mean_n (Σ_xy a·∂L/∂a)², a before normalization",
            "Turner et al., ICLR 2020",
            f"{_HERE}.gradients:fisher",
            needs_labels=True,
        ),
        Proxy("plain", "Σ w·g", "Mozer and Smolensky, 1988", f"{_HERE}.gradients:plain", needs_labels=True),
        Proxy(
            "zico",
            "Σ layers log Σ_w mean|g| / std|g| over two batches",
            "Li et al., ICLR 2023",
            f"{_HERE}.gradients:zico",
            needs_labels=True,
        ),
        Proxy(
            "epe_nas",
            "per class s_c = Σ log(|corrcoef| + 1e-5); K ≤ 100: Σ|s_c|; else Σ_ij |s_i − s_j| / classes",
            "Lopes et al., ICANN 2021",
            f"{_HERE}.jacobian:epe_nas",
            needs_labels=True,
        ),
        Proxy("az_expressivity", "Σ entropy of PCA spectra", az, f"{_HERE}.az_nas:az_expressivity", _KAIMING),
        Proxy("az_progressivity", "smallest growth of the entropy", az, f"{_HERE}.az_nas:az_progressivity", _KAIMING),
        Proxy(
            "az_trainability",
            "mean of 2 − s − 1/s, s = spectral norm of gradient cross-covariances",
            az,
            f"{_HERE}.az_nas:az_trainability",
            _KAIMING,
        ),
    )


PROXIES = {proxy.name: proxy for proxy in _proxies()}
TABLE_COLUMNS = tuple(name for name, proxy in PROXIES.items() if proxy.fast is not None)


def proxy_of(name: str) -> Proxy:
    """A score by name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in PROXIES:
        raise UnknownNameError("proxy", name, PROXIES, advice="; a function of your own is written module:function")
    return PROXIES[name]


def initialization_of(proxy: Proxy, method: Method) -> str:
    """Weights, as provenance names them."""
    if proxy.name in ("params", "flops"):
        return "none"
    return _EXPECTED if method == "closed form" else proxy.initialization
