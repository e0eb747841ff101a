"""A reproduction of TransGAN (arXiv 2102.07074) behind one command line, `transgan`.

`models` has the networks, TransGAN and the baselines; `training` the losses, regularizers, augmentation and the
training loop, on one device or several; `data` fetches datasets and packs them into arrays; `metrics` computes FID,
IS, KID, precision and recall, and `scoring` has the stages that apply them to runs. `config` resolves params.yaml,
whose content `schema` describes, into a plan of runs; `pipeline` connects the stages to Snakemake and DVC and
recognizes finished work. `report` makes tables, figures and the report page; `tracking` logs runs to MLflow; `cost`
computes FLOPs, memory and hours of a run in advance. `commands` has the tools of the command line (`cli`), `hardware`
the devices, and `utils` files, log messages and random numbers.
"""

__version__ = "0.1.0"
