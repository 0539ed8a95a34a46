"""The command that serves the page."""

from __future__ import annotations

from threading import Thread
from typing import Annotated

import typer

from thetanet.cli.shared import ArraysOption, ModelArgument, app, load_network, out


@app.command()
def serve(
    model: ModelArgument = None,
    data: ArraysOption = None,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0: everywhere")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one")] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name browsers may call this server by, beside localhost and numbers"),
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="The longest that a training may take")] = 30.0,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser")] = False,
) -> None:
    """Show a network at work in a web page: draw, look inside, train, read pictures."""
    from thetanet.data.dataset import load_data
    from thetanet.web import serve as serve_page

    def ready(address: str) -> None:
        out.print(f"the page: {address}   (Ctrl-C ends)")
        if browser:
            import webbrowser

            # A text browser ends when its user does: the server answers it meanwhile.
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    serve_page(
        load_network(model), "the model in the package" if model is None else model.name, load_data(data),
        host=host, port=port, allow_hosts=allow_host or [], training_seconds=60 * minutes, ready=ready,
    )  # fmt: skip
