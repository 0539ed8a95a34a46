"""The server of the page: an application of FastAPI that parses, calls and answers."""

from __future__ import annotations

import asyncio
import mimetypes
import secrets
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from importlib import resources
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles

import thetanet
from thetanet.data.dataset import Dataset
from thetanet.descent import resolve
from thetanet.errors import InputError, ThetanetError
from thetanet.images.deform import Deform
from thetanet.training.settings import TrainingSettings
from thetanet.web import schemas
from thetanet.web.current import Current
from thetanet.web.events import stream
from thetanet.web.guard import Guard, host_name, is_number
from thetanet.web.pictures import EndingError, Pictures
from thetanet.web.trainings import VALIDATION_FRACTION, BusyError, Training, Trainings

_PICTURE_BYTES = 20_000_000
_STREAMS = 64  # browsers that may watch trainings at the same time

_Number = Annotated[int, Path(ge=1, le=2**53, description="Of the training")]
_Rows = Annotated[
    str, Query(pattern=r"^\d{1,8}(,\d{1,8}){0,199}$", description="Up to 200 numbers and commas")
]


def _problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return how a request may fail, for OpenAPI: as those that the guard refuses, and by these codes."""
    return {code: {"model": schemas.Problem} for code in (403, 408, 413, 421, *codes)}


_BINARY: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}
_CREATED: dict[int | str, dict[str, Any]] = {
    201: {
        "links": {
            name: {"operationId": name, "parameters": {"number": "$response.body#/id"}}
            for name in ("one", "units", "pause", "resume", "stop", "keep")
        }
    }
}
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "properties": {name: {"type": "string"} for name in ("id", "event", "data")},
                }
            }
        }
    }
}


def create_app(
    net: Any,
    name: str,
    data: Dataset,
    *,
    allow_hosts: Collection[str] = (),
    training_seconds: float = 1800.0,
    ending: Callable[[], bool] = lambda: False,
) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    net : FittedNetwork or fitted classifier
        The network to show at first, for 28 x 28 pixels.
    name : str
        What to call it.
    data : Dataset
        Images that trainings learn from; mistakes are those on its test samples.
    allow_hosts : collection of str
        Names by which the server may be called, beside `localhost` and numbers.
    training_seconds : float
        The longest that a training may take.
    ending : callable
        Tells whether the server is about to end, so that streams end too.
    """
    current, trainings = Current(net, name, data), Trainings(data, training_seconds)
    pictures, streams = Pictures(ending), asyncio.Semaphore(_STREAMS)
    started = secrets.token_hex(8)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(trainings.close)

    app = FastAPI(
        title="thetanet", version=thetanet.__version__, docs_url=None, redoc_url=None, lifespan=lifespan,
        description="A network with one hidden layer: its numbers, its training, what it reads.",
        generate_unique_id_function=lambda route: route.name,
    )  # fmt: skip
    app.state.trainings, app.state.current, app.state.pictures = trainings, current, pictures
    hosts = {host_name(host) for host in allow_hosts if not is_number(host)}
    app.add_middleware(Guard, hosts=hosts, most_bytes={"/api/read": _PICTURE_BYTES})

    @app.exception_handler(ThetanetError)
    async def refuse(_: Request, problem: ThetanetError) -> JSONResponse:
        status = {BusyError: 409, EndingError: 503}.get(type(problem), 422)
        return JSONResponse({"detail": str(problem)}, status_code=status)

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def not_there(request: Request, problem: HTTPException) -> JSONResponse:
        """Tell what is not there from what is there for other methods: files of the page know only GET."""
        routes = [route for route in app.routes if isinstance(route, APIRoute)]
        here = [route for route in routes if route.path_regex.match(request.url.path)]
        methods = {method for route in here for method in route.methods or ()}
        if request.method in methods or (problem.status_code == 404 and not methods):
            return JSONResponse({"detail": problem.detail}, status_code=404)
        return JSONResponse(
            {"detail": f"{request.method} is not for this address"},
            status_code=405,
            headers={"allow": ", ".join(sorted(methods or {"GET", "HEAD"}))},
        )

    @app.exception_handler(RequestValidationError)
    async def refuse_values(_: Request, problem: RequestValidationError) -> JSONResponse:
        detail = "; ".join(
            f"{'.'.join(map(str, e['loc'][1:])) or 'body'}: {e['msg']}" for e in problem.errors()
        )
        return JSONResponse({"detail": detail}, status_code=422)

    def known(number: int) -> Training:
        training = trainings.get(number)
        if training is None:
            raise HTTPException(404, f"there is no training {number}")
        return training

    @app.get("/api/health", responses=_problems())
    def health() -> schemas.Health:
        """Say that the server is there."""
        return schemas.Health(version=thetanet.__version__, started=started, model=current.version)

    @app.get("/api/model", responses=_problems())
    def model() -> schemas.ModelInfo:
        """Describe the network on show."""
        return schemas.ModelInfo(**current.as_dict())

    @app.get("/api/model/theta", responses=_problems() | _BINARY, response_class=Response)
    def theta() -> Response:
        """Return Theta: float32, little-endian, Theta(1) row by row, then Theta(2); row 0 is the bias."""
        return Response(
            current.numbers,
            media_type="application/octet-stream",
            headers={"etag": f'"{current.version}"'},
        )

    @app.get("/api/model/file", responses=_problems() | _BINARY, response_class=Response)
    def model_file() -> Response:
        """Return the network on show as a model file, which `thetanet` and any safetensors library read."""
        headers = {"content-disposition": 'attachment; filename="model.safetensors"'}
        return Response(current.file(), media_type="application/octet-stream", headers=headers)

    @app.post("/api/model/first", responses=_problems())
    def show_first() -> schemas.ModelInfo:
        """Go back to the network that the server was started with."""
        current.show_first()
        return schemas.ModelInfo(**current.as_dict())

    @app.get("/api/mistakes", responses=_problems(404, 422))
    def mistakes() -> schemas.Figures:
        """Measure the network on show on the test images; the worst mistakes first."""
        figures = current.evaluate()
        if figures is None:
            raise HTTPException(404, "the data of this server has no test part")
        return schemas.Figures(**figures)

    @app.get("/api/test-images", responses=_problems(404, 422) | _BINARY, response_class=Response)
    def images(rows: _Rows) -> Response:
        """Return test images, 784 bytes each, 255 is ink."""
        try:
            pixels = current.images([int(row) for row in rows.split(",")])
        except InputError as problem:
            raise HTTPException(404, str(problem)) from None
        return Response(pixels, media_type="application/octet-stream")

    @app.get("/api/test-labels", responses=_problems(404, 422))
    def labels(rows: _Rows) -> list[str]:
        """Return the labels of test images."""
        try:
            return current.labels([int(row) for row in rows.split(",")])
        except InputError as problem:
            raise HTTPException(404, str(problem)) from None

    @app.post(
        "/api/read",
        responses=_problems(415, 422, 503),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def read(request: Request) -> schemas.ReadingInfo:
        """Read the numbers in a picture: PNG, JPEG and others, at most 20 MB and 25 million pixels."""
        kind = request.headers.get("content-type", "")
        if not kind.startswith(("image/", "application/octet-stream")):
            raise HTTPException(415, f"content-type {kind!r}: send the bytes of a picture as image/png or so")
        return await pictures.read(await request.body(), current.network)

    @app.get("/api/trainings", responses=_problems())
    def list_trainings() -> list[schemas.TrainingInfo]:
        """List the trainings of this server, the oldest first."""
        return [schemas.TrainingInfo(**training.as_dict()) for training in trainings.all()]

    @app.post("/api/trainings", status_code=201, responses=_problems(400, 409, 422) | _CREATED)
    def start(settings: schemas.Settings) -> schemas.TrainingInfo:
        """Start a training; 409 while another one is under way."""
        return _info(trainings.start(_training_settings(settings), settings.samples, settings.model_dump()))

    @app.get("/api/trainings/{number}", responses=_problems(404, 422))
    def one(number: _Number) -> schemas.TrainingInfo:
        """Say where a training stands."""
        return _info(known(number))

    @app.get(
        "/api/trainings/{number}/units", responses=_problems(404, 422) | _BINARY, response_class=Response
    )
    def units(number: _Number) -> Response:
        """Return the weights into the first 100 hidden units after the last epoch.

        784 signed bytes each, -127 to 127, each unit by its own largest weight.
        """
        return Response(known(number).units().tobytes(), media_type="application/octet-stream")

    @app.get(
        "/api/trainings/{number}/events",
        responses=_problems(404, 422, 503) | _EVENTS,
        response_class=Response,
    )
    async def events(
        number: _Number,
        last_event_id: Annotated[str, Header(description="How many epochs were seen already")] = "0",
        seen: Annotated[int, Query(ge=0, le=10**9, description="The same, for the first request")] = 0,
    ) -> Response:
        """Watch a training: server-sent events `epoch`, `state` and, in between, `progress`."""
        training = known(number)
        if streams.locked():
            raise HTTPException(503, f"{_STREAMS} streams are open already: close one")
        again = int(last_event_id[:9]) if last_event_id.isascii() and last_event_id.isdecimal() else 0
        return stream(training, max(seen, again), streams, ending)

    def act(number: int, what: str) -> schemas.TrainingInfo:
        training = known(number)
        if not getattr(training, what)():
            raise HTTPException(409, f"training {number} is {training.state}")
        return _info(training)

    @app.post("/api/trainings/{number}/pause", responses=_problems(404, 409, 422))
    def pause(number: _Number) -> schemas.TrainingInfo:
        """Pause a training that runs."""
        return act(number, "pause")

    @app.post("/api/trainings/{number}/resume", responses=_problems(404, 409, 422))
    def resume(number: _Number) -> schemas.TrainingInfo:
        """Go on with a training that was paused."""
        return act(number, "resume")

    @app.post("/api/trainings/{number}/stop", responses=_problems(404, 409, 422))
    def stop(number: _Number) -> schemas.TrainingInfo:
        """Stop a training; the network keeps what it has learnt."""
        return act(number, "stop")

    @app.post("/api/trainings/{number}/keep", responses=_problems(404, 409, 422))
    def keep(number: _Number) -> schemas.ModelInfo:
        """Show the network of this training, as it is after its last epoch."""
        training = known(number)
        if training.network is None:
            raise HTTPException(409, f"training {number} has not ended its first epoch yet")
        current.show(training.network, f"training {number}")
        return schemas.ModelInfo(**current.as_dict())

    mimetypes.add_type(
        "text/javascript", ".js"
    )  # some machines call it text/plain, which browsers do not run
    page = resources.files("thetanet.web") / "page"
    app.mount("/", StaticFiles(directory=str(page), html=True), name="page")
    return app


def _training_settings(settings: schemas.Settings) -> TrainingSettings:
    descent, rate = str(settings.descent), settings.learning_rate
    return TrainingSettings(
        hidden=settings.hidden,
        descent=descent if rate is None else resolve(descent, learning_rate=rate),
        epochs="auto" if settings.epochs is None else settings.epochs,
        batch_size=settings.batch_size,
        deform=Deform() if settings.deform else None,
        validation_fraction=VALIDATION_FRACTION,
        random_state=settings.seed,
    )


def _info(training: Training) -> schemas.TrainingInfo:
    return schemas.TrainingInfo(**training.as_dict())
