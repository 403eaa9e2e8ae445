"""One file per model: `entries(model)` pairs the parameter names of the model's authors with ours."""
