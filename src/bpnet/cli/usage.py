"""Wrong usage: what is typed wrongly is said in at most three lines, and what was meant."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from bpnet import check

# An option, an argument or a command: what others call it.
SYNONYMS = {
    "--eta": "lr learning-rate learning-rate-init alpha step-size",
    "--mini-batch-size": "batch-size batch batchsize bs minibatch minibatch-size m",
    "--mu": "momentum beta",
    "--epochs": "iterations iters iter max-iter n-epochs num-epochs n-iter passes e",
    "--sizes": "layers layer-sizes architecture arch network topology",
    "--hidden": "hidden-layers hidden-layer-sizes hidden-size hidden-units units neurons nodes",
    "--lmbda": "l2 lambda lamda weight-decay wd reg regularization regularisation",
    "--rule": "optimizer optimiser optim solver algorithm",
    "--cost": "loss loss-function cost-function criterion objective error",
    "--decay": "lr-decay learning-rate-decay schedule scheduler lr-schedule",
    "--distort": "augment augmentation data-augmentation expand",
    "--initial-weights": "init initializer initialization weight-init weights",
    "--dtype": "precision type float",
    "--threads": "n-threads num-threads jobs n-jobs workers num-workers cores cpus j",
    "--seed": "random-state random-seed rng",
    "--patience": "early-stopping early-stop n-iter-no-change",
    "--max-error": "tol tolerance target-error",
    "--max-seconds": "time timeout time-limit max-time seconds",
    "--activation": "activations transfer act",
    "--save": "output out output-file out-file o model save-model model-file save-path",
    "--checkpoint": "ckpt checkpoints snapshot",
    "--resume": "continue restart go-on load",
    "--plot": "figure fig chart curve graph",
    "--log": "journal log-file",
    "--show": "draw print view",
    "--data": "dataset data-dir data-path data-set mnist folder input inputs",
    "--target": "label labels target-column response y",
    "--classify": "classification classes",
    "--drop": "ignore exclude skip drop-column",
    "--version": "v",
    "MODEL": "model network net weights load",
    "TABLE": "table csv file train-data training-data input x",
    "IMAGE": "image images picture file input x",
    "FILE": "file files out output save",
    "FILE.onnx": "file onnx out output save",
    "train": "fit learn teach run",
    "search": "tune optimize optimise sweep grid hpo",
    "evaluate": "test eval score validate accuracy",
    "predict": "classify infer inference recognize recognise ask",
    "export": "onnx convert",
    "page": "html draw demo",
    "pack": "convert-data dataset",
    "info": "version config show-config",
    # values
    "quadratic": "mse mean-squared-error l2",
    "cross-entropy": "crossentropy ce bce categorical-crossentropy binary-crossentropy logloss",
    "squared": "regression",
    "plain": "sgd gd none",
    "nesterov": "nag",
    "float32": "single float f32 32",
    "float64": "double f64 64",
    "large": "normal standard",
}


class UsageError(ValueError):
    """What was typed cannot be: a line that says so, and perhaps others."""


def meant(word: str, known: Sequence[str]) -> str | None:
    """Return which of known was meant by a word: by another's name for it, or mistyped."""
    bare = _bare(word)
    plain = {_bare(name): name for name in known}
    if bare in plain:
        return plain[bare]
    for name in known:
        if bare in SYNONYMS.get(name, "").split():
            return name
    near = difflib.get_close_matches(bare, plain, 1, 0.6)
    return plain[near[0]] if near else None


def _bare(word: str) -> str:
    return word.lower().lstrip("-").replace("_", "-")


def number(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return what reads a number, or leaves the text as it is, for the library to refuse."""

    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            return text

    return read


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Return what reads one of names."""

    def read(text: str) -> str:
        if text in names:
            return text
        guess = meant(text, names)
        raise argparse.ArgumentTypeError(
            f"must be one of {', '.join(names)}, got {text!r}"
            + (f": did you mean {guess}?" if guess else "")
        )

    return read


@contextlib.contextmanager
def named(names: Mapping[str, str], kind: type[Exception] | None = None) -> Iterator[None]:
    """Let what the library says of its arguments be said of options: names of the one to other.

    An error that begins with an argument's name becomes one of the kind, default its own.
    """
    try:
        yield
    except (TypeError, ValueError, FileNotFoundError) as error:
        if (said := as_typed(str(error), names)) == str(error):
            raise
        raise (kind or type(error))(said) from None


def as_typed(sentence: str, names: Mapping[str, str]) -> str:
    """Return a sentence about an argument, as "eta must be ...", with the names of options."""

    def option(match: re.Match[str]) -> str:
        return match[1] + names[match[2]] if match[2] in names else match[0]

    return re.sub(r"(^| where )(\w+)(\[\d+\])?(?= (?:must|needs|is) )", option, sentence)


class Parser(argparse.ArgumentParser):
    """An argparse that knows no abbreviations, and says what was meant.

    declared are the options and arguments, commands the parsers of commands, if there are any.
    """

    def __init__(self, **options: Any) -> None:
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(allow_abbrev=False, formatter_class=form, **options)
        self.commands: dict[str, Parser] = {}
        self.declared: list[argparse.Action] = []
        self._groups: dict[str, Any] = {}

    def option(self, *names: str, group: str = "", **form: Any) -> None:
        """Add an argument, under the heading of a group if there is one."""
        if group and group not in self._groups:
            self._groups[group] = self.add_argument_group(group)
        place = self._groups.get(group, self)
        self.declared.append(place.add_argument(*names, **form))

    @property
    def names(self) -> dict[str, str]:
        """Return the names of options, by the library's of what they set."""
        options = [action for action in self.declared if action.option_strings]
        names = {action.dest: action.option_strings[0] for action in options}
        return {**names, "n_threads": names.get("threads", "n_threads")}

    def short_usage(self) -> str:
        """Return what may be given, the options in one word."""
        forms = {None: "{0}", "?": "[{0}]", "+": "{0} [{0} ...]"}
        found = [f"{self.prog} [options]"]
        for action in self.declared:
            if not action.option_strings:
                found.append(forms[action.nargs].format(action.metavar))  # type: ignore[index]
        return " ".join(found)

    def command(self, arguments: argparse.Namespace, without: Sequence[str], *more: str) -> str:
        """Return the command that was given, but for options without, with more of them."""
        words, last = [*self.prog.split(), *more], []
        for action in self.declared:
            value = getattr(arguments, action.dest)
            if action.dest in without or value == action.default:
                continue
            if not action.option_strings:
                last.append(value)
            elif isinstance(value, bool):
                words.append(action.option_strings[0 if value else -1])
            elif action.dest == "drop":
                words += [word for each in value for word in ("--drop", each)]
            else:
                text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
                words += [action.option_strings[0], text]
        return check.printable(joined([*words, *last]))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse what there is not, before all else."""
        given: list[str] = [*(sys.argv[1:] if args is None else args)]
        words: list[str] = []
        options = {name: action for action in self.declared for name in action.option_strings}
        while given:
            word = given.pop(0)
            if word == "--" or (self.commands and not word.startswith("-")):
                given.insert(0, word)
                break
            if _is_number(word) and words and words[-1] in options:
                words[-1] += f"={word}"  # argparse takes -1 for a number, and no -1e3 or -inf
                continue
            if word.startswith("-") and word != "-" and not _is_number(word):
                name = word.split("=")[0]
                if name not in (*options, "-h", "--help"):
                    self._refuse_option(name)
            words.append(word)
        if self.commands and given and given[0] not in (*self.commands, "--"):
            self._refuse_command(given[0])
        return super().parse_known_args(words + given, namespace)

    def _refuse_option(self, word: str) -> NoReturn:
        shown = {
            str(name): action
            for action in self.declared
            for name in [*action.option_strings[:1], action.metavar][:1]
        }
        if (guess := meant(word, list(shown))) is None:
            self.error(f"there is no option {word}")
        text = re.split(r" \(|[;:,] ", shown[guess].help or "")[0]
        if guess.startswith("-"):
            self.error(f"there is no option {word}: did you mean {guess}, {text}?")
        self.error(f"there is no option {word}: {guess} is given without one, {text}")

    def _refuse_command(self, word: str) -> NoReturn:
        guess = meant(word, list(self.commands))
        hint = f"did you mean {guess}?" if guess else f"there are {', '.join(self.commands)}"
        self.error(f"there is no command {word}: {hint}")

    def error(self, message: str) -> NoReturn:
        """Raise UsageError; message may hold anything that was typed."""
        message = re.sub(r"^argument (\S+): (?=must )", r"\1 ", message)
        message = message.removeprefix("argument ")
        raise UsageError(check.printable(message), f"see {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write message; help that is lost is no success, which argparse takes it for."""
        if file is not sys.stdout:
            super()._print_message(message, file)
        elif message and file is not None:
            file.write(message)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def joined(words: list[str]) -> str:
    """Return words as a shell takes them."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
