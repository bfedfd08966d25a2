"""The command that describes cells in words: an estimate first, then answers that are kept, then a new version of the city."""

from typing import Annotated, Literal

import typer
from rich.markup import escape

from engine.cli.terminal import AsJson, CityName, bar, out, print_json
from engine.errors import ConfigError


def caption(
    city: CityName,
    describer: Annotated[
        str, typer.Option(help="rules, endpoint:<base URL>:<model>, or transformers:<folder of a vision-language model>.")
    ] = "rules",
    modality: Annotated[
        list[str] | None, typer.Option(help="satellite, height, street_view or poi. Repeatable; default all.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new version; default `<city> with captions`.")] = None,
    prompt: Annotated[Literal["three_level", "lite"], typer.Option(help="Which prompt of assets/prompts.")] = "three_level",
    trend: Annotated[bool, typer.Option("--trend", help="Ask for a guess of the 24-hour curve too; it is stored apart.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Describe also what has a description.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would take; send and save nothing.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Requests to a server at a time.")] = 4,
    timeout: Annotated[float, typer.Option(min=0.1, help="Longest wait for one answer, seconds.")] = 120.0,
    attempts: Annotated[int, typer.Option(min=1, max=20, help="Most requests per description.")] = 5,
    key_variable: Annotated[str, typer.Option(help="Environment variable that holds the server's key.")] = "MOBISCOPE_ENDPOINT_KEY",
    price_in: Annotated[float | None, typer.Option(min=0, help="Price of a million tokens asked, for the estimate.")] = None,
    price_out: Annotated[float | None, typer.Option(min=0, help="Price of a million tokens answered.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before requests are sent.")] = False,
    as_json: AsJson = False,
) -> None:
    """Describe the cells of a city in words and save it as a new version, whose fingerprint differs.

    Answers of a server are kept as they come: a run that was interrupted goes on where it stopped.
    """
    from engine import store
    from engine.city.city import open_city
    from engine.encoders import describe
    from engine.encoders.captions import MODALITIES, caption_city, caption_evidence
    from engine.encoders.describe_endpoint import EndpointDescriber

    opened = open_city(city)
    target = name or f"{opened.name} with captions"
    speaker = describe.describer(describer, prompt)
    if isinstance(speaker, EndpointDescriber):
        changes = {
            "concurrency": concurrency,
            "timeout_s": timeout,
            "attempts": attempts,
            "key_variable": key_variable,
            "price_in": price_in,
            "price_out": price_out,
        }
        speaker = EndpointDescriber(type(speaker.settings)(**(speaker.settings.model_dump() | changes)))
    evidence = caption_evidence(opened, modality or MODALITIES, again, prompt=prompt)
    plan = f"{len(evidence):,} descriptions by {speaker.name}, no requests."
    estimate = None
    if isinstance(speaker, EndpointDescriber):
        estimate = speaker.estimate(evidence, trend)
        plan = estimate.sentence()
    if not as_json:
        out.print(escape(plan), soft_wrap=True)
    if dry_run:
        if as_json:
            print_json({"city": opened.name, "plan": plan, "estimate": estimate.__dict__ if estimate else None})
        return
    if not evidence:
        raise ConfigError(
            f"Every cell of `{opened.name}` has its descriptions already (prompt `{prompt}`). Use --again to describe them anew."
        )
    if estimate is not None and estimate.requests and not yes and not as_json:
        typer.confirm(f"Send {estimate.requests:,} requests to {speaker.name.split(':')[1]}?", abort=True)
    with bar("Describing cells", as_json) as report:
        done = caption_city(opened, speaker, evidence, trend, report)
    if not any(done.written.values()):
        raise ConfigError("No description could be had; nothing was saved. " + " ".join(done.problems))
    saved = done.city.replace(name=target).save()
    if as_json:
        print_json(
            {
                "city": saved.name,
                "slug": store.slug(saved.name),
                "written": done.written,
                "kept": done.kept,
                "counts": done.counts,
                "problems": done.problems,
                "fingerprint_before": opened.fingerprint,
                "fingerprint": saved.fingerprint,
            }
        )
        return
    for one, number in done.written.items():
        out.print(f"  {one:<14} {number:>8,} descriptions")
    for problem in done.problems:
        out.print(escape(f"  {problem}"), soft_wrap=True)
    out.print(
        escape(
            f"Saved as {saved.name} ({store.slug(saved.name)}). Its data changed from {opened.fingerprint[:12]} to "
            f"{saved.fingerprint[:12]}: runs trained before belong to {opened.name} as it was."
        ),
        soft_wrap=True,
    )
