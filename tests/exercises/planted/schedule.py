"""Planted bugs: (text of the solution, what stands there instead, kind)."""

BUGS = [
    ("(step + 1) / config.warmup", "step / config.warmup", "order"),
    ("config.lr * (step + 1)", "(config.lr + step)", "value"),
    ("if step < config.warmup", "if step <= config.warmup", "value"),
    ("(step - config.warmup) / max", "step / max", "order"),
    ("1 - math.cos(", "1 + math.cos(", "sign"),
    ("math.pi * min", "2 * math.pi * min", "factor"),
    ("0.5 * (1 - math.cos", "(1 - math.cos", "value"),
    ("max(1, config.steps - config.warmup)", "(config.steps - config.warmup)", "error"),
    ("max(0.0, 1 - (config.steps - step) / cooldown)", "0.0", "missing terms"),
    ("1 - (config.steps - step)", "1 - (config.steps - step - 1)", "order"),
    ("max(0.0, 1 -", "(1 -", "value"),
    ("fallen * (config.lr - config.min_lr)", "fallen * config.lr", "scale"),
    ("return config.lr - fallen", "return config.min_lr + fallen", "sign"),
]
