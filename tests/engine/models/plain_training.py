"""The stages of a model trained plainly, for tests of what it learns; the real loop has its own tests."""

import numpy as np
import torch


def train(model, data, seed=0, epochs=None):
    """Every stage for its own number of epochs, or for this many."""
    for stage in model.stages(data):
        optimiser = torch.optim.AdamW(stage.parameters, lr=stage.learning_rate, weight_decay=stage.weight_decay)
        generator = np.random.default_rng(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for epoch in range(stage.epochs if epochs is None else epochs):
                model.train()
                for batch in stage.batches(epoch, generator):
                    optimiser.zero_grad()
                    stage.loss(batch)["total"].backward()
                    torch.nn.utils.clip_grad_norm_(stage.parameters, 1.0)
                    optimiser.step()
    return model.eval()
