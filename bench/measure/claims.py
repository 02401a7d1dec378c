"""Whether a case does what its name says: the model, where it is, how it is optimized, and the work of a repetition."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch

from bench.axes.axis import hyperparameters
from bench.axes.case import Case
from bench.axes.compilers import COMPILERS
from bench.axes.devices import DEVICES
from bench.axes.optimizers import OPTIMIZERS
from bench.axes.precisions import PRECISIONS
from bench.axes.workloads import WORKLOADS
from bench.measure import settings
from bench.record.measurement import Counters
from fcnn.hyperparameters import REFERENCE, Hyperparameters
from fcnn.train import Training


def claimed_size(case: Case) -> Hyperparameters:
    """The sizes of the network that the case names."""
    return dataclasses.replace(REFERENCE, **hyperparameters(case))


def claimed_flops(case: Case) -> int:
    """Floating-point operations of matrix products in a repetition, of an epoch or a training in a step."""
    h, work = claimed_size(case), WORKLOADS[case.workload]
    forward = 2 * (h.input_size + h.num_classes) * h.hidden_size
    # Backward has a product for each of the two weights, and one for the hidden layer's gradient; the images need none.
    backward = forward + 2 * h.hidden_size * h.num_classes
    return case.batch_size * (forward * work.forward + backward * work.backward)


@dataclass
class Fed:
    """What an epoch was given when it was last looked at.

    Attributes:
        images: Images that an epoch has.
        batch_sizes: Of the batches, in their order.
        whole: Whether that was all of an epoch, and not its beginning.
    """

    images: int
    batch_sizes: list[int] = field(default_factory=list)
    whole: bool = False


def why_not_as_claimed(case: Case, training: Training, counters: Counters | None, fed: Fed | None = None) -> str | None:
    """The first difference between what `case` claims and what was found; None if there is none.

    Args:
        case: The claim.
        training: What was timed.
        counters: What one repetition, or one step of an epoch, was counted to do; None is not looked at.
        fed: What an epoch was given; None is not looked at.
    """
    return (
        _settings_differ(case)
        or _model_differs(case, training)
        or (_work_differs(case, counters) if counters else None)
        or (_feed_differs(case, fed) if fed else None)
    )


def _settings_differ(case: Case) -> str | None:
    if (threads := torch.get_num_threads()) != case.threads:
        return f"torch computes with {threads} threads, not with {case.threads}"
    precision, claimed = settings.float32_matmul(case.device), PRECISIONS[case.precision].float32_matmul
    return None if precision == claimed else f"float32 products have the precision '{precision}', not '{claimed}'"


def _feed_differs(case: Case, fed: Fed) -> str | None:
    """An epoch has every image once, in batches of one size but for the last."""
    steps, last = divmod(fed.images, case.batch_size)
    claimed, given = [case.batch_size] * steps + [last] * (last > 0), fed.batch_sizes
    if given and given == (claimed if fed.whole else claimed[: len(given)]):
        return None
    return (
        f"the feed gave {sum(given):,} images in {len(given):,} batches of up to {max(given, default=0):,}, "
        f"where an epoch has {fed.images:,} in {len(claimed):,} of {case.batch_size:,}"
    )


def _model_differs(case: Case, training: Training) -> str | None:
    h, parameters = claimed_size(case), list(training.model.parameters())
    claimed = [(h.hidden_size, h.input_size), (h.hidden_size,), (h.num_classes, h.hidden_size), (h.num_classes,)]
    sizes = [tuple(p.shape) for p in parameters]
    if sizes != claimed:
        name = f"{h.input_size}-{h.hidden_size}-{h.num_classes}"
        return f"the model's parameters are {sizes}, not those of the {name} network"
    if others := {p.dtype for p in parameters} - {torch.float32}:
        return f"parameters are {', '.join(sorted(map(str, others)))}, not all float32"
    if parameters[0].device.type != DEVICES[case.device].torch_name:
        return f"the model is on {parameters[0].device.type}, not on {case.device}"
    if not all(bool(p.isfinite().all()) for p in parameters):
        return "the parameters are not finite: it has not learnt but diverged"
    claimed_type = PRECISIONS[case.precision].amp_dtype
    if (amp_type := str(training.amp_dtype).removeprefix("torch.")) != str(claimed_type):
        return f"mixed precision is in {amp_type}, not in {claimed_type}"
    compiled = COMPILERS[case.compiler].mode is not None
    if isinstance(training.model, torch._dynamo.OptimizedModule) != compiled:
        return f"the model is {'not ' * compiled}compiled"
    chosen = {name: bool(training.optimizer.defaults.get(name)) for name in ("fused", "foreach")}
    claimed_options = {"fused": False, "foreach": False, **OPTIMIZERS[case.optimizer].options}
    return None if chosen == claimed_options else f"Adam's implementation is {chosen}, not {case.optimizer}"


def _work_differs(case: Case, counters: Counters) -> str | None:
    """The arithmetic of a repetition tells the batch size, and its types tell the precision."""
    if COMPILERS[case.compiler].captured and counters.cuda_graph_launches == 0:
        return "no CUDA graph was replayed"
    expected = claimed_flops(case)
    if counters.flops != expected:
        return f"a batch of {case.batch_size} is {expected:,} FLOP, and {counters.flops:,} were counted"
    amp = PRECISIONS[case.precision].amp_dtype or "float32"
    types = {name.partition(" ")[2] for name in counters.aten_calls if name.startswith(("aten::addmm ", "aten::mm "))}
    return None if types <= {amp} else f"matrix products are in {', '.join(sorted(types))}, not in {amp}"
