"""docs/performance.md: its words, and the table from what train_step.py measured."""

import json
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
HEAD = (
    "# Performance of training",
    "",
    "Made by `python benchmarks/train_step.py --page` from `benchmarks/results/train_step-*.json`; its words are in",
    "`benchmarks/performance_page.py`.",
    "",
    "Ours against a plain float32 loop written as the released one is (three passes of D, G under grad, bias gathered by index, unfused GELU,",
    "EMA parameter by parameter), alternating in one process; medians. An iteration is n_critic discriminator steps and a generator step.",
    "Ours takes one untimed iteration after each turn of the plain loop, which has given its memory back to the system (see below).",
    "TFLOP/s: FLOPs that FlopCounterMode counts in our own step. Share: of the rate of 2048-cubed products measured between the iterations",
    "(on a CPU between their steps, since other work on the host moves the rate by a tenth within seconds).",
    "Loader: pictures read from a file by the read-ahead threads alone, as when they do not fit on the device. Load: the machine's load average",
    "when the measurement began; beside other work (well above 0) absolute rates and the share say little, the ratio a little more.",
    "",
    "| run | device | arithmetic | batch D/G | images/s ours | plain | ratio | TFLOP/s | share | peak GiB ours / plain | loader images/s | load |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|",
)
TAIL = (
    "",
    "## Where the time is saved",
    "",
    "- G runs without gradients in the D step; real and generated pictures go through D in one pass.",
    "- The relative position bias is the table unfolded twice, not gathered: its backward pass is no scatter.",
    "- Attention is fused wherever no second derivative is needed; GELU, Adam and the moving average are one operator each.",
    "- On a CPU, malloc keeps freed memory (`transgan.hardware.malloc.keep_freed_memory`). Otherwise every large tensor is mapped anew and the kernel clears",
    "  its pages at first touch: a fifth of a generator's step. The plain loop runs with malloc as it is.",
    "- On a CPU, large float32 products of the transformer blocks run in oneDNN; torch gives them to MKL. Forward, and backward to the input, in",
    "  the operator that torch has for compiled code (`transgan.models.kernels.linear`): 164 to 207 GFLOP/s by itself for the shapes of D and G at batch",
    "  8, where MKL has 121 to 182. For the weights, and inside large attention, in oneDNN's matrix product (`transgan.models.kernels.onednn`). torch takes",
    "  float32 there only when told that bfloat16's precision is enough; on processors without matrix units for bfloat16 oneDNN computes in",
    "  float32 all the same, and a product is asked which kind this one is. 166 to 203 GFLOP/s for weights (MKL 143 to 187, the ways through",
    "  convolutions that were here before 130 to 192), 137 to 150 for attention of 256 tokens (MKL 107 to 128). Not while compiling.",
    "- On a CPU, G's attention among 1,024 tokens, whose learnt bias no fused kernel gives a gradient, runs an image per thread at a time",
    "  (`transgan.models.kernels.blockwise_attention`): 0.39 s forward and backward at batch 32 instead of 0.47 to 0.60 s, and without tensors of half a",
    "  gigabyte, whose first touch took up to 1.5 s of an iteration.",
    "- On a CPU, large attention that no fused kernel serves, in D's penalty or with a learnt bias, is one function with its second derivative",
    "  written out (`transgan.models.kernels.double_backward_attention`): 51 ms instead of 61 for a block of D's 256 tokens and 8 images, all passes of the penalty",
    "  together and both through MKL.",
    "- On a CPU, G's first layer convolves its weights, as pixels, with the latents: 7 ms forward and 6 ms backward for 8 images instead of 13 to",
    "  17 and 15 ms.",
    "- Means of 2 x 2 tokens are taken along one direction, then the other: torch takes eight times as long for both at once on a CPU.",
    "  The demo's step, 708 and 663 images a second, was at 541 and 576 without it (before and after, twice, in turn).",
    "- `compile: true` makes D's whole loss, penalty included, one graph: the penalty's inner gradient is `torch.func.grad` over",
    "  `functional_call`, as torch.compile refuses a double backward. Compiling takes minutes, so it is off by default on a CPU.",
    "- Pictures stay on the device as uint8 where they fit in a quarter of its free memory (1 GiB on a CPU); else threads read ahead.",
    "- Nothing in a step waits for a GPU (tests/training/test_waiting.py): what is measured is added up there and read once per row of",
    "  history.csv, constants stay there, and pictures and their order are sent from memory that it copies by itself.",
    "",
    "## Where the rest goes",
    "",
    "On two CPU threads at full width and batch 8, by operator (each timed as it is called; products of 2048 cubed at about 175 GFLOP/s):",
    "products forward and backward to inputs, half the time, run at 203 GFLOP/s on average, weights' gradients, a fifth, at 192. Attention's",
    "batched products, of 64 to 96 columns, reach 130 to 160 (in G's last stage, of 16 columns, 80 to 110), and the fused kernel among 1,024",
    "tokens of 16 columns 65 to 80: an eighth of the time together. An eighth are passes over memory, none of them above 2%: GELU with its",
    "derivatives, copies, products and sums of the second derivatives, biases, softmax, layer norm. Starting operators takes 1 to 2% (the same",
    "networks with next to nothing to compute take 0.2 s), and what an iteration costs once (Adam, clipping, the moving average) another 1%: the",
    "larger the batch, the less that weighs.",
    "",
    "How near the share comes to 100% depends on the host as well. The rate it refers to is that of torch's product, MKL's, which on one day moved",
    "between 138 and 190 GFLOP/s within two hours (other guests of the machine, presumably). oneDNN's product of the same size reaches 210 in",
    "minutes in which MKL's has 151 to 171, so the share is not one of what the machine can do.",
    "Two measurements at batch 8, each over fifteen rounds, an hour apart: 89% with products at 168 and 87% with products at 157 (the table's).",
    "Shorter measurements at batch 8: 84 and 85% with products at 176 and 172 (four iterations each, attention not yet in its final form), then",
    "89% at 163 and 95% at 152 (eight each, the host busy). Processes that took turns iteration by iteration put the code at 0.978 and, in its",
    "final form, 0.997 times the time of the one before, which had weights' gradients through convolutions and attention through MKL (ten pairs",
    "each, single ones from 0.92 to 1.04; operator by operator it is 0.95).",
    "",
    "Tried, without a gain: huge pages; attention of 256 tokens in parts, too, or split so that weights stay in the cache; batched products as",
    "grouped convolutions; oneDNN's products inside the compiled graph (four iterations of 15.1 to 17.8 s, eager ones between them 15.1 to 15.9).",
    "Rows of compiled runs were measured before oneDNN and attention in parts or in one function, of which they use none, and on another machine.",
    "",
    "## Not measured",
    "",
    "What needs a GPU (bfloat16 and TF32 rates, compiled kernels there, 256 pixels at batch 64, several GPUs) has been run on no GPU yet:",
    "its code paths are tested on a CPU. Where there is one, in this order:",
    "",
    "```",
    "pytest -m gpu",
    "python benchmarks/train_step.py transgan-cifar10 --device cuda --precision bfloat16 --compile",
    "python benchmarks/train_step.py transgan-church256 --device cuda --precision bfloat16 --compile --rounds 2 --micro-batch 16",
    "```",
)


def page(folder: Path) -> str:
    """docs/performance.md from every result in a folder."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("train_step-*.json"))]
    rows = []
    for result in results:
        setting, found = result["setting"], result["measured"]
        memory = found["peak_memory_gib"]
        cells = [
            f"{setting['run']} ({setting['scale']})",
            setting["device"],
            setting["precision"] + (", compiled" if setting["compile"] else ""),
            f"{setting['batch']}/{setting['generator_batch']}"
            + (f" by {setting['micro_batch']}" if setting.get("micro_batch") else ""),
            *(f"{found['images_per_second'][who]:.3g}" for who in ("ours", "plain")),
            f"{found['ratio']:.2f}",
            f"{found['tflops']['ours']:.3g}",
            f"{found['share_of_matrix_product_rate']:.0%}",
            " / ".join(f"{memory[who]:.1f}" for who in ("ours", "plain") if memory[who] is not None),
            f"{found['loader_images_per_second']:,.0f}",
            f"{result['machine']['load_before']:.1f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    machines = sorted({f"{result['machine']['cpu']}, {result['machine']['cores']} cores" for result in results})
    return "\n".join([*HEAD, *rows, "", *(f"- Machine: {machine}" for machine in machines), *TAIL, ""])
