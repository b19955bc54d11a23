"""Front ends: Triton and torch.export programs into linalg on tensors."""
