"""Datasets, from published files to arrays that training reads.

    fetch.py     downloads or finds the files of a source and verifies them; writes source.json
                 sources/: the catalog of files and URLs, resumable downloads, verified files on this machine
    prepare.py   reads those files with the source's reader, crops and resizes the images, and writes a pack
                 readers/: one module per source (cifar10, stl10, celeba, celebahq, lsun, digits, folder, arrays)
                 archives/: zips, tars, sets of tars and folders, safety checks, leftovers, byte ranges
                 packing.py, workers.py: the parallel, resumable work; transforms.py: decode, crop and resize one image
    pack.py      opens a pack: images.npy (a memory map), labels.npy, manifest.json

Training reads packs through transgan.training.data_loader.
"""
