"""thetanet: a network with one hidden layer, exactly.

The public names. What is slow to import (scikit-learn, for the estimator) loads when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thetanet.network import Activations, cross_entropy, error, error_and_gradient, forward, sigma
from thetanet.theta import Theta

if TYPE_CHECKING:
    from thetanet.classifier.estimator import ThetaNetClassifier
    from thetanet.classifier.pretrained import load_pretrained
    from thetanet.data.formats.arrays import array_source
    from thetanet.data.formats.batches import batches_source
    from thetanet.data.mnist import load_mnist
    from thetanet.data.open import open_source
    from thetanet.descent import (
        LBFGS,
        SGD,
        Adagrad,
        Adam,
        AdamW,
        Averaged,
        Clipped,
        ConjugateGradients,
        GradientDescent,
        Newton,
        RMSprop,
        Rprop,
        ScaledConjugateGradients,
    )
    from thetanet.engine.cpu.engine import CPUEngine
    from thetanet.engine.dask import DaskEngine, connect
    from thetanet.errors import DivergedError
    from thetanet.hessian import hessian_product
    from thetanet.images.deform import Deform
    from thetanet.images.normalise import normalise_images
    from thetanet.models.predictor import Predictor
    from thetanet.training.checkpoints import Checkpoints
    from thetanet.training.recipes import recipe

__version__ = "0.1.0"

__all__ = [
    "LBFGS",
    "SGD",
    "Activations",
    "Adagrad",
    "Adam",
    "AdamW",
    "Averaged",
    "CPUEngine",
    "Checkpoints",
    "Clipped",
    "ConjugateGradients",
    "DaskEngine",
    "Deform",
    "DivergedError",
    "GradientDescent",
    "Newton",
    "Predictor",
    "RMSprop",
    "Rprop",
    "ScaledConjugateGradients",
    "Theta",
    "ThetaNetClassifier",
    "array_source",
    "batches_source",
    "connect",
    "cross_entropy",
    "error",
    "error_and_gradient",
    "forward",
    "hessian_product",
    "load_mnist",
    "load_pretrained",
    "normalise_images",
    "open_source",
    "recipe",
    "sigma",
]

_LAZY = {
    "Adagrad": "thetanet.descent",
    "Adam": "thetanet.descent",
    "AdamW": "thetanet.descent",
    "Averaged": "thetanet.descent",
    "CPUEngine": "thetanet.engine.cpu.engine",
    "Checkpoints": "thetanet.training.checkpoints",
    "Clipped": "thetanet.descent",
    "ConjugateGradients": "thetanet.descent",
    "DaskEngine": "thetanet.engine.dask",
    "Deform": "thetanet.images.deform",
    "DivergedError": "thetanet.errors",
    "GradientDescent": "thetanet.descent",
    "LBFGS": "thetanet.descent",
    "Newton": "thetanet.descent",
    "Predictor": "thetanet.models.predictor",
    "RMSprop": "thetanet.descent",
    "Rprop": "thetanet.descent",
    "SGD": "thetanet.descent",
    "ScaledConjugateGradients": "thetanet.descent",
    "ThetaNetClassifier": "thetanet.classifier.estimator",
    "array_source": "thetanet.data.formats.arrays",
    "batches_source": "thetanet.data.formats.batches",
    "connect": "thetanet.engine.dask",
    "hessian_product": "thetanet.hessian",
    "load_mnist": "thetanet.data.mnist",
    "load_pretrained": "thetanet.classifier.pretrained",
    "normalise_images": "thetanet.images.normalise",
    "open_source": "thetanet.data.open",
    "recipe": "thetanet.training.recipes",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'thetanet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
