"""The command that serves the page."""

from __future__ import annotations

from threading import Thread

from typer import Option

from thetanet.cli.options import DataOptions, ModelOptions
from thetanet.cli.program import command, out


@command
def serve(
    model: ModelOptions,
    data: DataOptions,
    host: str = Option("127.0.0.1", help="Where to listen; 0.0.0.0: everywhere"),
    port: int = Option(8000, min=0, max=65535, help="0: any free one"),
    allow_host: list[str] | None = Option(
        None, help="A name browsers may call this server by, beside localhost and numbers [none]"
    ),
    minutes: float = Option(30.0, min=0.1, help="The longest that a training may take"),
    browser: bool = Option(False, "--open", help="Open the page in a browser"),
) -> None:
    """Show a network at work in a web page: draw, look inside, train, read pictures."""
    from thetanet.web import serve as serve_page

    def show_address(address: str) -> None:
        out.print(f"the page: {address}   (Ctrl-C ends)")
        if browser:
            import webbrowser

            # A text browser ends when its user does: the server answers it meanwhile.
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    network = model.load_network()
    serve_page(
        network, model.name, data.open_dataset(network), host=host, port=port,
        allow_hosts=allow_host or [], training_seconds=60 * minutes, ready=show_address,
    )  # fmt: skip
