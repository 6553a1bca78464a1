"""Published attention layers with random weights, and layers that take these over."""

from published import array, torch


def random_module(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data.normal_(0.0, 0.3, generator=generator)
    return module.eval()


def copy(layer, projections, norms=()):
    """Give a built layer the weights of published projections and norms."""
    names = ("query", "key", "value", "output")
    for name, linear in zip(names, projections, strict=True):
        dense = getattr(layer, f"_{name}_dense")
        # of a linear layer (outputs, inputs)
        dense.kernel.assign(array(linear.weight).T.reshape(dense.kernel.shape))
        if linear.bias is not None:
            dense.bias.assign(array(linear.bias).reshape(dense.bias.shape))
    for name, norm in zip(("query_norm", "key_norm"), norms, strict=False):
        getattr(layer, name).scale.assign(array(norm.weight))
    return layer


def projections_of(module):
    return module.q_proj, module.k_proj, module.v_proj, module.o_proj
