"""``models``: which bundles and encoders can be used here, and fetching what is missing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hagmil.cli.terminal import answer, complain, say
from napari_hagmil.cli.verb import Verb, argument, code_option, json_option, option, switch
from napari_hagmil.errors import HagmilError
from napari_hagmil.permission import require_network

if TYPE_CHECKING:
    from napari_hagmil.encoders import EncoderState

#: Families of encoders: what a name looks like, the package that makes them, the extra with it.
_FAMILIES = (
    ("timm:NAME", "timm", "encoders", "any network of timm"),
    ("hf:OWNER/NAME", "transformers", "encoders", "a folder in the layout of the Hugging Face hub"),
    ("lazyslide:KEY", "lazyslide_models", "lazyslide", "those that models --zoo lists"),
    ("FILE.onnx", "onnxruntime", "onnx", "a file of your own, with FILE.onnx.json beside it"),
    ("FILE.pt2, FILE.ts", "torch", "", "a program of your own; needs --allow-code"),
)


@dataclass(frozen=True)
class ModelsOptions:
    """Options of ``models``."""

    bundles: list[Path] = argument(
        type=Path, nargs="*", metavar="BUNDLE", help="bundles of your own, besides the shipped ones"
    )
    download: str | None = option(
        "--download", metavar="ENCODER", help="fetch an encoder's weights, and keep their hash"
    )
    zoo: bool = switch("--zoo", "list the encoders of lazyslide-models")
    allow_code: bool = code_option()
    json: bool = json_option()


def models(options: ModelsOptions) -> int:
    """List which encoders and bundles can be used here, and what is missing for the rest."""
    if options.download:
        return _download(options.download, quiet=options.json)
    if options.zoo:
        return _zoo(in_json=options.json)
    from napari_hagmil.bundles import shipped_bundles
    from napari_hagmil.encoders import encoder_states

    states = encoder_states()
    known = {each.name: _missing(each) for each in states}
    bundles = [_bundle(path, known) for path in (*shipped_bundles().values(), *options.bundles)]
    families = [_family(*each) for each in _FAMILIES]
    if options.json:
        encoders = [{**asdict(each), "missing": known[each.name]} for each in states]
        answer({"bundles": bundles, "encoders": encoders, "families": families})
        return 0
    for bundle in bundles:
        _show_bundle(bundle)
    for each in states:
        licence = f", {each.licence}" if each.licence else ""
        sizes = f"{each.n_features} features of {each.patch_size} px{licence}"
        say(known[each.name] or f"encoder {each.name}: ready: {sizes}")
    for family in families:
        say(f"encoder {family['name']}: {family['what']}{_but(family['missing'])}")
    return 0


def _but(missing: str) -> str:
    return f"; {missing}" if missing else ""


def _missing(state: EncoderState) -> str:
    return state.missing.sentence("command line") if state.missing else ""


def _family(name: str, module: str, extra: str, what: str) -> dict[str, str]:
    missing = f"run pip install 'napari-hagmil[{extra}]'" if find_spec(module) is None else ""
    return {"name": name, "what": what, "missing": missing}


def _bundle(path: Path, known: dict[str, str]) -> dict[str, Any]:
    from napari_hagmil.encoders import encoder_state
    from napari_hagmil.geometry import magnification_label
    from napari_hagmil.models import load_bundle

    try:
        model = load_bundle(path)
    except HagmilError as error:
        return {"name": str(path), "missing": error.sentence("command line")}
    config = model.config
    encoder = config.encoder.name
    if encoder not in known:
        known[encoder] = _missing(encoder_state(encoder))
    missing = known[encoder]
    return {
        "name": config.name,
        "sha256": model.sha256,
        "encoder": encoder,
        "classes": list(config.classes),
        "mpp": list(config.mpp),
        "magnifications": [magnification_label(mpp) for mpp in config.mpp],
        "budget": list(config.budget),
        "licence": config.licence,
        "intended_use": config.intended_use,
        "missing": f"{missing}, or give its features with --features" if missing else "",
    }


def _show_bundle(bundle: dict[str, Any]) -> None:
    if "classes" not in bundle:
        say(f"bundle {bundle['name']}: {bundle['missing']}")
        return
    say(
        f"bundle {bundle['name']}: {' → '.join(bundle['magnifications'])}, "
        f"classes {', '.join(bundle['classes'])}, encoder {bundle['encoder']}"
    )
    for line in (bundle["intended_use"], bundle["missing"]):
        if line:
            say(f"  {line}")


def _zoo(*, in_json: bool) -> int:
    from napari_hagmil.encoders.families.lazyslide import zoo_entries

    entries = zoo_entries()
    if in_json:
        answer([asdict(each) for each in entries])
        return 0
    for each in entries:
        facts = [f"{each.n_features} features"] if each.n_features else []
        facts += [each.licence] if each.licence else []
        facts += ["gated"] if each.is_gated else []
        facts += ["needs --allow-code"] if each.runs_code else []
        facts += ["takes =FILE"] if each.takes_file else []
        say(f"lazyslide:{each.key}: {', '.join([*facts, each.source])}")
    return 0


def _download(name: str, *, quiet: bool) -> int:
    from napari_hagmil.encoders import download, plan_download

    plan = plan_download(name)
    require_network(f"the download of {name} from {plan.host}")
    if not quiet:
        complain(f"asking {plan.host} for {plan.address}")
    files = download(plan)
    if quiet:
        facts = [{**asdict(each), "path": str(each.path)} for each in files]
        answer({"host": plan.host, "address": plan.address, "files": facts})
        return 0
    for each in files:
        say(f"{each.path}: {each.n_bytes / 1e6:.1f} MB, sha256 {each.sha256}")
    say(f"{name} is in {plan.place}")
    return 0


MODELS = Verb(
    "models",
    ModelsOptions,
    models,
    "list the bundles and encoders available here, and fetch weights",
    says_names="it looks at no slide",
)
