"""The command that says what pictures show: one digit each."""

from __future__ import annotations

import json

from thetanet.cli.options import JSON, PictureOptions
from thetanet.cli.program import command, out
from thetanet.errors import InputError


@command
def predict(pictures: PictureOptions, as_json: bool = JSON) -> None:
    """Say what a picture shows: one digit, any size, dark on light or light on dark."""
    import numpy as np

    from thetanet.data.formats.picture import read_picture
    from thetanet.images.frame import to_mnist_frame

    network = pictures.load_network()
    frames = []
    for path in pictures.images:
        try:
            frames.append(to_mnist_frame(read_picture(path)).ravel())
        except InputError as problem:
            message = str(problem)
            raise InputError(message if str(path) in message else f"{path}: {message}") from None
    X = np.array(frames)
    columns = pictures.images, network.predict(X), network.predict_proba(X), network.confidence(X)
    answers = [
        {
            "image": str(path),
            "label": str(label) if confidence >= pictures.reject_below else None,
            "probability": float(probability.max()),
            "confidence": float(confidence),
        }
        for path, label, probability, confidence in zip(*columns, strict=True)
    ]
    if as_json:
        print(json.dumps(answers))
        return
    for answer in answers:
        if answer["label"] is None:
            out.print(f"{answer['image']}: no answer  (confidence {answer['confidence']:.3f})")
        else:
            out.print(f"{answer['image']}: {answer['label']}  (probability {answer['probability']:.3f})")
