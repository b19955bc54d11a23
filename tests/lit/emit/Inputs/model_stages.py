"""Export a small model and let `mtiac compile` write every stage of it: model_stages.py FOLDER"""

import sys

import torch
from mtia.compiler.model import MODEL_STAGES
from mtia.tools.cli import main

folder = sys.argv[1]
model = torch.nn.Sequential(torch.nn.Linear(24, 32), torch.nn.ReLU()).to(torch.float16)
torch.export.save(torch.export.export(model, (torch.randn(8, 24, dtype=torch.float16),)), f"{folder}/layer.pt2")
for stage in MODEL_STAGES:
    if main(["compile", f"{folder}/layer.pt2", f"--emit={stage}", "-o", f"{folder}/{stage}"]):
        sys.exit(f"--emit={stage} failed")
sys.exit(main(["compile", f"{folder}/layer.pt2", "-o", f"{folder}/layer.mtia"]))
